"""What connects one Twilio account's phone numbers, and the credentials of the demo."""

from __future__ import annotations

from pydantic import Field, SecretStr, model_validator

from channels.families.speech.phone_settings import PhoneSettings
from channels.platforms.signatures import derive
from foundation.security import Vault

PLATFORM = "https://api.twilio.com"
SIMULATOR = "http://127.0.0.1:8765"


class PhoneTwilioSettings(PhoneSettings):
    """All empty: the demo's own credentials. Otherwise account sid and auth token are needed together."""

    account_sid: str = Field("", description="The account's sid, AC and 32 letters and digits.")
    auth_token: SecretStr = Field(SecretStr(""), description="The account's primary auth token.")
    previous_auth_token: SecretStr = Field(
        SecretStr(""),
        description="The token before, accepted while it is being changed; empty it afterwards.",
    )
    speech_model: str = Field("", description="Twilio's speechModel for recognition; empty: its own choice.")
    api_base: str = Field(
        PLATFORM, description="Where Twilio's API stands; only the test of credentials calls it."
    )

    @model_validator(mode="after")
    def _complete(self) -> PhoneTwilioSettings:
        if bool(self.account_sid) != bool(self.auth_token.get_secret_value()):
            missing = "auth_token" if self.account_sid else "account_sid"
            raise ValueError(f"an account needs account_sid and auth_token together; missing: {missing}")
        return self

    @property
    def is_demo(self) -> bool:
        return not self.account_sid

    def or_demo(self, vault: Vault) -> PhoneTwilioSettings:
        """These settings where they name an account; otherwise with the demo's credentials."""
        if not self.is_demo:
            return self
        demo = {
            "account_sid": f"AC{derive(vault, 'phone_twilio', 'account')[:32]}",
            "auth_token": SecretStr(derive(vault, "phone_twilio", "token")[:32]),
            "api_base": SIMULATOR if self.api_base == PLATFORM else self.api_base,
        }
        return self.model_copy(update=demo)
