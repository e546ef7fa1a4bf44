"""What WeCom's channels (企业微信) share: the settings of a corporation's app and its gate.

WeCom encrypts every callback, its check of our address included, for the corporation's id. `wecom_app` and `wecom_kf`
add what only they need to `CorpSettings`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from channels.families.wechat.codec import parse_fields
from channels.families.wechat.crypto import require_key
from channels.families.wechat.gate import Gate, Keys
from channels.platforms import credentials
from channels.platforms.signatures import derive
from foundation.security import Vault

PLATFORM = "https://qyapi.weixin.qq.com"
SIMULATOR = "http://127.0.0.1:8765"
"""Where the simulator answers in the platform's place."""
REQUIRED = ("corp_id", "secret", "token", "encoding_aes_key")


class CorpSettings(BaseModel):
    """All empty: the demo's own credentials. Otherwise `REQUIRED` and what a channel adds to it are needed together."""

    model_config = ConfigDict(frozen=True)
    channel: ClassVar[str] = ""
    required: ClassVar[tuple[str, ...]] = REQUIRED

    corp_id: str = Field("", description="Id of the corporation, ww…")
    secret: SecretStr = Field(SecretStr(""), description="Secret of the app that calls the interface")
    token: SecretStr = Field(SecretStr(""), description="Token of the callback, letters and digits")
    previous_token: SecretStr = Field(
        SecretStr(""), description="The token before, still accepted while a change reaches the platform"
    )
    encoding_aes_key: SecretStr = Field(
        SecretStr(""), description="EncodingAESKey of the callback, 43 letters and digits"
    )
    previous_aes_key: SecretStr = Field(
        SecretStr(""), description="The EncodingAESKey before, still accepted during a change"
    )
    api_base: str = Field(PLATFORM, description="Where WeCom's API stands")
    timestamp_tolerance_seconds: int = Field(
        300, ge=30, le=3600, description="How far the time of a call may be from ours"
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        credentials.require_together(self, *self.required)
        for name in ("encoding_aes_key", "previous_aes_key"):
            require_key(name, credentials.given(self, name))
        return self

    @property
    def is_demo(self) -> bool:
        return not self.corp_id

    def or_demo(self, vault: Vault) -> Self:
        """These settings where they name an account; otherwise the demo's, changed by what else is set here."""
        if not self.is_demo:
            return self
        return type(self).model_validate({**self.demo(vault), **credentials.chosen(self)})

    @classmethod
    def demo(cls, vault: Vault) -> dict[str, Any]:
        """Equal for the server and the simulator of one installation."""
        return {
            "corp_id": f"ww{derive(vault, cls.channel, 'corp id')[:16]}",
            "secret": derive(vault, cls.channel, "secret")[:43],
            "token": derive(vault, cls.channel, "token")[:32],
            "encoding_aes_key": derive(vault, cls.channel, "aes key")[:43],
            "api_base": SIMULATOR,
        }

    def gate(self, identify: Callable[[bytes], str]) -> Gate:
        keys = Keys(
            tokens=(self.token.get_secret_value(), self.previous_token.get_secret_value()),
            aes_keys=(self.encoding_aes_key.get_secret_value(), self.previous_aes_key.get_secret_value()),
            receive_id=self.corp_id,
            tolerance_seconds=self.timestamp_tolerance_seconds,
            sealed_greeting=True,
        )
        return Gate(keys, identify, parse_fields)
