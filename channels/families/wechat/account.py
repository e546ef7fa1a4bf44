"""What connects an account of api.weixin.qq.com, and the credentials of the demo that nobody has to type.

The Official Account and the mini program add to `AccountSettings` what only they need. Server and simulator derive the
demo credentials from the same master key, so that a fresh machine needs no configuration, and nobody without that key
can sign a message for it.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from channels.families.wechat.crypto import require_key
from channels.families.wechat.gate import Keys, Mode
from channels.platforms import credentials
from channels.platforms.signatures import derive
from foundation.security import Vault

PLATFORM = "https://api.weixin.qq.com"
SIMULATOR = "http://127.0.0.1:8765"
"""Where the simulator answers in the platform's place."""


class AccountSettings(BaseModel):
    """All empty: the demo's own credentials. Otherwise app id, secret and token are needed together."""

    model_config = ConfigDict(frozen=True)
    channel: ClassVar[str] = ""

    app_id: str = Field("", description="AppID of the account, wx…")
    app_secret: SecretStr = Field(SecretStr(""), description="AppSecret of the account")
    token: SecretStr = Field(
        SecretStr(""), description="Token of the server configuration, 3 to 32 letters and digits"
    )
    previous_token: SecretStr = Field(
        SecretStr(""), description="The token before, still accepted while a change reaches the platform"
    )
    encoding_aes_key: SecretStr = Field(SecretStr(""), description="EncodingAESKey, 43 letters and digits")
    previous_aes_key: SecretStr = Field(
        SecretStr(""), description="The EncodingAESKey before, still accepted during a change"
    )
    original_id: str = Field(
        "", description="The account's gh_… name; messages for others are refused. Empty: not checked"
    )
    mode: Mode = Field(
        "secure",
        description="secure: encrypted messages only; compatible: both, for the time of a change; plain",
    )
    api_base: str = Field(PLATFORM, description="Where WeChat's API stands")
    timestamp_tolerance_seconds: int = Field(
        300, ge=30, le=3600, description="How far the time of a call may be from ours"
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        credentials.require_together(self, "app_id", "app_secret", "token")
        if self.is_demo:
            return self
        if self.mode != "plain" and not credentials.given(self, "encoding_aes_key"):
            raise ValueError(f"mode {self.mode} needs encoding_aes_key (or set mode to plain)")
        for name in ("encoding_aes_key", "previous_aes_key"):
            require_key(name, credentials.given(self, name))
        return self

    @property
    def is_demo(self) -> bool:
        return not self.app_id

    def keys(self) -> Keys:
        return Keys(
            tokens=(self.token.get_secret_value(), self.previous_token.get_secret_value()),
            aes_keys=(self.encoding_aes_key.get_secret_value(), self.previous_aes_key.get_secret_value()),
            receive_id=self.app_id,
            mode=self.mode,
            tolerance_seconds=self.timestamp_tolerance_seconds,
        )

    def or_demo(self, vault: Vault) -> Self:
        """These settings where they name an account; otherwise the demo's, changed by what else is set here."""
        if not self.is_demo:
            return self
        return type(self).model_validate({**self.demo(vault), **credentials.chosen(self)})

    @classmethod
    def demo(cls, vault: Vault) -> dict[str, Any]:
        """Equal on both sides of one installation; `compatible`, so that the simulator can speak either way."""
        return {
            "app_id": f"wx{derive(vault, cls.channel, 'app id')[:16]}",
            "app_secret": derive(vault, cls.channel, "app secret")[:32],
            "token": derive(vault, cls.channel, "token")[:32],
            "encoding_aes_key": derive(vault, cls.channel, "aes key")[:43],
            "original_id": f"gh_{derive(vault, cls.channel, 'original id')[:12]}",
            "mode": "compatible",
            "api_base": SIMULATOR,
        }
