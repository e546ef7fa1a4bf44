"""What connects one Official Account, and the credentials of the demo that nobody has to type.

The wiring reads `WechatOaSettings` from HUILIU_WECHAT_OA_…; `channel.build` and the simulator pass it through
`or_demo`. Both sides derive the demo credentials from the same master key, so that a fresh machine needs no
configuration, and nobody without that key can sign a message for it.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from foundation.security import Vault

Mode = Literal["plain", "compatible", "secure"]

PLATFORM = "https://api.weixin.qq.com"
SIMULATOR = "http://127.0.0.1:8765"
"""Where the simulator answers in the platform's place."""


class WechatOaSettings(BaseModel):
    """All empty: the demo's own credentials. Otherwise app id, secret and token are needed together."""

    model_config = ConfigDict(frozen=True)

    app_id: str = ""
    app_secret: SecretStr = SecretStr("")
    token: SecretStr = SecretStr("")
    previous_token: SecretStr = SecretStr("")
    """Still accepted while a change of token reaches the platform; empty it afterwards."""
    encoding_aes_key: SecretStr = SecretStr("")
    previous_aes_key: SecretStr = SecretStr("")
    original_id: str = ""
    """The account's gh_… name. Empty: not checked."""
    mode: Mode = "secure"
    """compatible accepts encrypted and plain messages, for the time of a change; secure only encrypted ones."""
    api_base: str = PLATFORM
    timestamp_tolerance_seconds: int = Field(300, ge=30, le=3600)

    @model_validator(mode="after")
    def _complete(self) -> WechatOaSettings:
        named: dict[str, str | SecretStr] = {
            "app_id": self.app_id,
            "app_secret": self.app_secret,
            "token": self.token,
        }
        missing = [name for name, value in named.items() if not _plain(value)]
        if len(missing) == len(named):
            return self
        if missing:
            raise ValueError(
                f"an account needs app_id, app_secret and token together; missing: {', '.join(missing)}"
            )
        if self.mode != "plain" and not _plain(self.encoding_aes_key):
            raise ValueError(f"mode {self.mode} needs encoding_aes_key (or set mode to plain)")
        for name in ("encoding_aes_key", "previous_aes_key"):
            key = getattr(self, name).get_secret_value()
            if key and (len(key) != 43 or not (key.isascii() and key.isalnum())):
                raise ValueError(f"{name} has exactly 43 letters and digits")
        return self

    @property
    def is_demo(self) -> bool:
        return not self.app_id

    def or_demo(self, vault: Vault) -> WechatOaSettings:
        """These settings where they name an account; otherwise the demo's, changed by what else is set here."""
        if not self.is_demo:
            return self
        chosen = {name: value for name in self.model_fields_set if _plain(value := getattr(self, name))}
        return demo_settings(vault).model_copy(update=chosen)


def demo_settings(vault: Vault) -> WechatOaSettings:
    """Equal on both sides of one installation; `compatible`, so that the simulator can speak either way."""
    return WechatOaSettings(
        app_id=f"wx{_derive(vault, 'app id')[:16]}",
        app_secret=SecretStr(_derive(vault, "app secret")[:32]),
        token=SecretStr(_derive(vault, "token")[:32]),
        encoding_aes_key=SecretStr(_derive(vault, "aes key")[:43]),
        original_id=f"gh_{_derive(vault, 'original id')[:12]}",
        mode="compatible",
        api_base=SIMULATOR,
    )


def _derive(vault: Vault, purpose: str) -> str:
    return hmac.new(vault.signing_key, f"wechat_oa demo {purpose}".encode(), hashlib.sha256).hexdigest()


def _plain(value: str | int | SecretStr) -> str | int:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
