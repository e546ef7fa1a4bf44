"""What connects one Douyin business account, and the credentials of the demo that nobody has to type."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from channels.platforms import credentials
from channels.platforms.signatures import derive
from foundation.security import Vault

NAME = "douyin"
PLATFORM = "https://open.douyin.com"
SIMULATOR = "http://127.0.0.1:8765"


class DouyinSettings(BaseModel):
    """All empty: the demo's own credentials. Otherwise key, secret, open id and refresh token are needed together."""

    model_config = ConfigDict(frozen=True)

    client_key: str = Field("", description="Client Key of the app")
    client_secret: SecretStr = Field(
        SecretStr(""),
        description="Client Secret of the app; signs the calls unless there is a webhook secret",
    )
    previous_client_secret: SecretStr = Field(
        SecretStr(""), description="Still accepted while a change reaches Douyin; empty it afterwards"
    )
    webhook_secret: SecretStr = Field(
        SecretStr(""), description="A Mini App's own secret for calls, where the console shows one"
    )
    open_id: str = Field("", description="Open id of the business account that answers")
    refresh_token: SecretStr = Field(
        SecretStr(""), description="From the authorisation of that account by QR code"
    )
    api_base: str = Field(PLATFORM, description="Address of the open platform")

    @model_validator(mode="after")
    def _complete(self) -> DouyinSettings:
        credentials.require_together(self, "client_key", "client_secret", "open_id", "refresh_token")
        return self

    @property
    def is_demo(self) -> bool:
        return not self.client_key

    def or_demo(self, vault: Vault) -> DouyinSettings:
        """These settings where they name an app; otherwise the demo's, changed by what else is set here."""
        return credentials.or_demo(self, demo_settings(vault), named="client_key")


def demo_settings(vault: Vault) -> DouyinSettings:
    """Equal on both sides of one installation."""
    return DouyinSettings(
        client_key=f"aw{derive(vault, NAME, 'client key')[:16]}",
        client_secret=SecretStr(derive(vault, NAME, "client secret")[:32]),
        open_id=f"open-{derive(vault, NAME, 'open id')[:24]}",
        refresh_token=SecretStr(derive(vault, NAME, "refresh token")[:40]),
        api_base=SIMULATOR,
    )
