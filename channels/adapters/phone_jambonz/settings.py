"""What connects one jambonz application, and the secret of the demo."""

from __future__ import annotations

from pydantic import Field, SecretStr

from channels.families.speech.phone_settings import PhoneSettings
from channels.platforms.signatures import derive
from foundation.security import Vault


class PhoneJambonzSettings(PhoneSettings):
    """Without a secret: the demo's own."""

    webhook_secret: SecretStr = Field(
        SecretStr(""), description="The account's webhook secret, with which jambonz signs its calls."
    )
    previous_webhook_secret: SecretStr = Field(
        SecretStr(""),
        description="The secret before, accepted while it is being changed; empty it afterwards.",
    )
    account_sid: str = Field("", description="The account's sid; empty: calls of every account are taken.")
    recognizer: str = Field("default", description="Vendor of the speech recognition, as jambonz names it.")
    synthesizer: str = Field("default", description="Vendor of the speech synthesis, as jambonz names it.")
    timestamp_tolerance_seconds: int = Field(
        300, ge=30, le=3600, description="So far a call's time may be from our clock."
    )
    api_base: str = Field(
        "http://127.0.0.1:8765", description="For the simulator only; the channel itself calls nobody."
    )

    @property
    def is_demo(self) -> bool:
        return not self.webhook_secret.get_secret_value()

    def or_demo(self, vault: Vault) -> PhoneJambonzSettings:
        """These settings where they have a secret; otherwise with the demo's."""
        if not self.is_demo:
            return self
        secret = SecretStr(derive(vault, "phone_jambonz", "secret")[:32])
        return self.model_copy(update={"webhook_secret": secret})
