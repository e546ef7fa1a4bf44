"""What connects one WhatsApp number, and the credentials of the demo that nobody has to type.

Read from HUILIU_WHATSAPP_… or from an account that was added; `channel.build` and the simulator pass it through `or_demo`.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from channels.platforms import credentials
from channels.platforms.signatures import derive
from foundation.security import Vault

PLATFORM = "https://graph.facebook.com"
SIMULATOR = "http://127.0.0.1:8765"


class WhatsappSettings(BaseModel):
    """All empty: the demo's own credentials. Otherwise number, access token, app secret and verify token together."""

    model_config = ConfigDict(frozen=True)

    phone_number_id: str = Field(
        "", pattern=r"^[A-Za-z0-9]*$", description="Id of the number (not the number itself), from API Setup."
    )
    access_token: SecretStr = Field(
        SecretStr(""), description="Token of a system user with whatsapp_business_messaging; without expiry."
    )
    app_secret: SecretStr = Field(SecretStr(""), description="Of the app, from App settings → Basic.")
    previous_app_secret: SecretStr = Field(
        SecretStr(""), description="Still accepted while the secret is being changed; empty it afterwards."
    )
    verify_token: SecretStr = Field(
        SecretStr(""), description="A word of your own, entered at Meta beside the webhook's address."
    )
    graph_version: str = Field(
        "v26.0", pattern=r"^v\d{1,3}\.\d$", description="Version of the Graph API that is called."
    )
    template: str = Field(
        "",
        pattern=r"^[a-z0-9_]{0,512}$",
        description="Approved template with one variable; carries replies after the 24 hours. Costs per message.",
    )
    template_language: str = Field("en", description="Language code of that template, e.g. zh_CN.")
    media_hosts: str = Field(
        "fbsbx.com,facebook.com,whatsapp.net",
        description="Hosts, with commas, whose files are fetched with the access token.",
    )
    api_base: str = Field(PLATFORM, description="Where the API answers; for the demo the local simulator.")

    @model_validator(mode="after")
    def _complete(self) -> WhatsappSettings:
        named = {
            "phone_number_id": self.phone_number_id,
            "access_token": self.access_token.get_secret_value(),
            "app_secret": self.app_secret.get_secret_value(),
            "verify_token": self.verify_token.get_secret_value(),
        }
        missing = [name for name, value in named.items() if not value]
        if missing and len(missing) < len(named):
            raise ValueError(f"a number needs {', '.join(named)} together; missing: {', '.join(missing)}")
        return self

    @property
    def is_demo(self) -> bool:
        return not self.phone_number_id

    def or_demo(self, vault: Vault) -> WhatsappSettings:
        """These settings where they name a number; otherwise the demo's, changed by what else is set here."""
        return credentials.or_demo(self, demo_settings(vault), named="phone_number_id")


def demo_settings(vault: Vault) -> WhatsappSettings:
    """Equal on both sides of one installation."""
    return WhatsappSettings(
        phone_number_id=str(int(derive(vault, "whatsapp", "phone number id")[:12], 16)),
        access_token=SecretStr(f"EAA{derive(vault, 'whatsapp', 'access token')}"),
        app_secret=SecretStr(derive(vault, "whatsapp", "app secret")[:32]),
        verify_token=SecretStr(derive(vault, "whatsapp", "verify token")[:32]),
        api_base=SIMULATOR,
    )
