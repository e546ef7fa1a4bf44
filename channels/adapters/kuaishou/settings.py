"""What names one Kuaishou app, and where a partner's event says who wrote what."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from channels.platforms import credentials
from channels.platforms.signatures import derive
from foundation.security import Vault

NAME = "kuaishou"


class KuaishouSettings(BaseModel):
    """All empty: a demo app's credentials. Otherwise app id and secret are needed together."""

    model_config = ConfigDict(frozen=True)

    app_id: str = Field("", description="App id at the open platform")
    app_secret: SecretStr = Field(SecretStr(""), description="App secret; signs the calls")
    previous_app_secret: SecretStr = Field(
        SecretStr(""), description="Still accepted while a change reaches Kuaishou; empty it afterwards"
    )
    user_field: str = Field("open_id", description="Field of an event's data that names the person")
    text_field: str = Field("text", description="Field of an event's data that holds a text")
    conversation_field: str = Field(
        "conversation_id", description="Field of an event's data that names the conversation"
    )

    @model_validator(mode="after")
    def _complete(self) -> KuaishouSettings:
        credentials.require_together(self, "app_id", "app_secret")
        return self

    @property
    def is_demo(self) -> bool:
        return not self.app_id

    def or_demo(self, vault: Vault) -> KuaishouSettings:
        """These settings where they name an app; otherwise the demo's, changed by what else is set here."""
        return credentials.or_demo(self, demo_settings(vault), named="app_id")


def demo_settings(vault: Vault) -> KuaishouSettings:
    """Equal on both sides of one installation."""
    return KuaishouSettings(
        app_id=f"ks{derive(vault, NAME, 'app id')[:16]}",
        app_secret=SecretStr(derive(vault, NAME, "app secret")[:32]),
    )
