"""What connects one Feishu app, and the credentials of the demo that nobody has to type."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from channels.platforms import credentials
from channels.platforms.signatures import derive
from foundation.security import Vault

NAME = "feishu"
PLATFORM = "https://open.feishu.cn"
SIMULATOR = "http://127.0.0.1:8765"


class FeishuSettings(BaseModel):
    """All empty: the demo's own credentials. Otherwise app id, app secret and verification token are needed together."""

    model_config = ConfigDict(frozen=True)

    app_id: str = Field("", description="cli_…, from the app's page Credentials")
    app_secret: SecretStr = Field(SecretStr(""), description="From the app's page Credentials")
    verification_token: SecretStr = Field(
        SecretStr(""), description="From Events and callbacks; proves the check of the address"
    )
    encrypt_key: SecretStr = Field(
        SecretStr(""), description="From Events and callbacks; with it every call is signed and encrypted"
    )
    previous_encrypt_key: SecretStr = Field(
        SecretStr(""),
        description="Still accepted while a change of the key reaches Feishu; empty it afterwards",
    )
    previous_verification_token: SecretStr = Field(
        SecretStr(""),
        description="Still accepted while a change of the token reaches Feishu; empty it afterwards",
    )
    api_base: str = Field(PLATFORM, description="https://open.larksuite.com for Lark outside China")
    timestamp_tolerance_seconds: int = Field(
        28_800, ge=60, le=86_400,
        description="Oldest accepted call. Feishu repeats for more than seven hours and does not say under which time",
    )  # fmt: skip

    @model_validator(mode="after")
    def _complete(self) -> FeishuSettings:
        credentials.require_together(self, "app_id", "app_secret", "verification_token")
        return self

    @property
    def is_demo(self) -> bool:
        return not self.app_id

    def or_demo(self, vault: Vault) -> FeishuSettings:
        """These settings where they name an app; otherwise the demo's, changed by what else is set here."""
        return credentials.or_demo(self, demo_settings(vault), named="app_id")


def demo_settings(vault: Vault) -> FeishuSettings:
    """Equal on both sides of one installation."""
    return FeishuSettings(
        app_id=f"cli_{derive(vault, NAME, 'app id')[:16]}",
        app_secret=SecretStr(derive(vault, NAME, "app secret")[:32]),
        verification_token=SecretStr(derive(vault, NAME, "verification token")[:32]),
        encrypt_key=SecretStr(derive(vault, NAME, "encrypt key")[:32]),
        api_base=SIMULATOR,
    )
