"""What connects one Weibo account, and the credentials of the demo that nobody has to type."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from channels.platforms import credentials
from channels.platforms.signatures import derive
from foundation.security import Vault

NAME = "weibo"
PLATFORM = "https://m.api.weibo.com"
SIMULATOR = "http://127.0.0.1:8765"


class WeiboSettings(BaseModel):
    """All empty: the demo's own credentials. Otherwise app secret and access token are needed together."""

    model_config = ConfigDict(frozen=True)

    app_secret: SecretStr = Field(SecretStr(""), description="App Secret of the app; signs the calls")
    previous_app_secret: SecretStr = Field(
        SecretStr(""), description="Still accepted while a change reaches Weibo; empty it afterwards"
    )
    access_token: SecretStr = Field(
        SecretStr(""), description="Shown in the account's developer mode; lives about a year"
    )
    uid: str = Field("", description="The account's own uid; refuses messages for others. Empty: not checked")
    api_base: str = Field(PLATFORM, description="Address of the reply interface")
    media_url: str = Field(
        "https://upload.api.weibo.com/2/mss/msget",
        description="Where files of messages are fetched (unconfirmed)",
    )
    timestamp_tolerance_seconds: int = Field(300, ge=30, le=3600, description="Oldest accepted call")

    @model_validator(mode="after")
    def _complete(self) -> WeiboSettings:
        credentials.require_together(self, "app_secret", "access_token")
        return self

    @property
    def is_demo(self) -> bool:
        return not self.app_secret.get_secret_value()

    def or_demo(self, vault: Vault) -> WeiboSettings:
        """These settings where they name an account; otherwise the demo's, changed by what else is set here."""
        return credentials.or_demo(self, demo_settings(vault), named="app_secret")


def demo_settings(vault: Vault) -> WeiboSettings:
    """Equal on both sides of one installation."""
    return WeiboSettings(
        app_secret=SecretStr(derive(vault, NAME, "app secret")[:32]),
        access_token=SecretStr(derive(vault, NAME, "access token")[:32]),
        uid=str(10**9 + int(derive(vault, NAME, "uid")[:7], 16)),
        api_base=SIMULATOR,
        media_url=f"{SIMULATOR}/2/mss/msget",
    )
