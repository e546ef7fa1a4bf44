"""What connects one Facebook page, and the credentials of the demo that nobody has to type.

Read from HUILIU_MESSENGER_… or from an account that was added; `channel.build` and the simulator pass it through `or_demo`.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from channels.platforms import credentials
from channels.platforms.signatures import derive
from foundation.security import Vault

PLATFORM = "https://graph.facebook.com"
SIMULATOR = "http://127.0.0.1:8765"


class MessengerSettings(BaseModel):
    """All empty: the demo's own credentials. Otherwise page, access token, app secret and verify token together."""

    model_config = ConfigDict(frozen=True)

    page_id: str = Field("", pattern=r"^[A-Za-z0-9]*$", description="Id of the page, a long number.")
    access_token: SecretStr = Field(
        SecretStr(""), description="Of the page, with pages_messaging; from the app's Messenger settings."
    )
    app_secret: SecretStr = Field(SecretStr(""), description="Of the app, from App settings → Basic.")
    previous_app_secret: SecretStr = Field(
        SecretStr(""), description="Still accepted while the secret is being changed; empty it afterwards."
    )
    verify_token: SecretStr = Field(
        SecretStr(""), description="A word of your own, entered at Meta beside the webhook's address."
    )
    get_started: str = Field(
        "GET_STARTED", description="Payload of the page's Get started button; the bot greets when it comes."
    )
    human_agent: bool = Field(
        False,
        description="The app may use the tag HUMAN_AGENT: people at the desk answer within 7 days instead of 24 hours.",
    )
    graph_version: str = Field(
        "v26.0", pattern=r"^v\d{1,3}\.\d$", description="Version of the Graph API that is called."
    )
    media_hosts: str = Field(
        "fbcdn.net,fbsbx.com,facebook.com", description="Hosts, with commas, from which files are fetched."
    )
    api_base: str = Field(PLATFORM, description="Where the API answers; for the demo the local simulator.")

    @model_validator(mode="after")
    def _complete(self) -> MessengerSettings:
        named = {
            "page_id": self.page_id,
            "access_token": self.access_token.get_secret_value(),
            "app_secret": self.app_secret.get_secret_value(),
            "verify_token": self.verify_token.get_secret_value(),
        }
        missing = [name for name, value in named.items() if not value]
        if missing and len(missing) < len(named):
            raise ValueError(f"a page needs {', '.join(named)} together; missing: {', '.join(missing)}")
        return self

    @property
    def is_demo(self) -> bool:
        return not self.page_id

    def or_demo(self, vault: Vault) -> MessengerSettings:
        """These settings where they name a page; otherwise the demo's, changed by what else is set here."""
        return credentials.or_demo(self, demo_settings(vault), named="page_id")


def demo_settings(vault: Vault) -> MessengerSettings:
    """Equal on both sides of one installation."""
    return MessengerSettings(
        page_id=str(int(derive(vault, "messenger", "page id")[:12], 16)),
        access_token=SecretStr(f"EAA{derive(vault, 'messenger', 'access token')}"),
        app_secret=SecretStr(derive(vault, "messenger", "app secret")[:32]),
        verify_token=SecretStr(derive(vault, "messenger", "verify token")[:32]),
        api_base=SIMULATOR,
    )
