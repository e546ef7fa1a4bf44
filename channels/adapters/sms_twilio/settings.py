"""What connects one Twilio account, and the credentials of the demo that nobody has to type.

Read from HUILIU_SMS_TWILIO_… or from an account that was added; the simulator passes the same model through `or_demo`.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from channels.platforms.signatures import derive
from foundation.security import Vault

NAME = "sms_twilio"
PLATFORM = "https://api.twilio.com"
SIMULATOR = "http://127.0.0.1:8765"


class SmsTwilioSettings(BaseModel):
    """All empty: the demo's own credentials. Otherwise the account and its token are needed together."""

    model_config = ConfigDict(frozen=True)

    account_sid: str = Field("", description="The account's SID, AC and 32 letters and digits.")
    auth_token: SecretStr = Field(
        SecretStr(""), description="The primary auth token: it signs Twilio's calls to us."
    )
    previous_auth_token: SecretStr = Field(
        SecretStr(""), description="Still accepted while the token is being changed; empty it afterwards."
    )
    api_key_sid: str = Field("", description="SK…; an API key for our calls, instead of the auth token.")
    api_key_secret: SecretStr = Field(SecretStr(""), description="The secret of that API key.")
    from_number: str = Field(
        "", description="Our number in the form +15005550006, for messages that answer nothing."
    )
    messaging_service_sid: str = Field(
        "", description="MG…; sends through this service instead of a single number."
    )
    public_url: str = Field(
        "", description="The hook's whole address as typed at Twilio, where it is not the one we show."
    )
    mms: bool = Field(False, description="Pictures go out as MMS (numbers in the USA and Canada only).")
    status_callbacks: bool = Field(True, description="Ask Twilio to report deliveries to the same address.")
    number_parts: bool = Field(True, description="Put (1/3) before the parts of a long reply.")
    platform_keywords: bool = Field(
        True, description="Twilio itself answers STOP, START and HELP; switch off where its handling is off."
    )
    media_hosts: str = Field(
        "twilio.com,twiliocdn.com,amazonaws.com",
        description="Where pictures of customers may be fetched, with all hosts below; separated by commas.",
    )
    api_base: str = Field(PLATFORM, description="Twilio's address; another one in tests and regions.")

    @model_validator(mode="after")
    def _complete(self) -> SmsTwilioSettings:
        token, secret = self.auth_token.get_secret_value(), self.api_key_secret.get_secret_value()
        if bool(self.account_sid) != bool(token):
            missing = "auth_token" if self.account_sid else "account_sid"
            raise ValueError(f"an account needs account_sid and auth_token together; missing: {missing}")
        if bool(self.api_key_sid) != bool(secret):
            missing = "api_key_secret" if self.api_key_sid else "api_key_sid"
            raise ValueError(f"an API key needs api_key_sid and api_key_secret together; missing: {missing}")
        return self

    @property
    def is_demo(self) -> bool:
        return not self.account_sid

    @property
    def credentials(self) -> tuple[str, str]:
        """User and password of our calls."""
        if self.api_key_sid:
            return self.api_key_sid, self.api_key_secret.get_secret_value()
        return self.account_sid, self.auth_token.get_secret_value()

    def or_demo(self, vault: Vault) -> SmsTwilioSettings:
        """These settings where they name an account; otherwise the demo's, changed by what else is set here."""
        if not self.is_demo:
            return self
        chosen = {name: getattr(self, name) for name in self.model_fields_set if getattr(self, name)}
        demo = SmsTwilioSettings(
            account_sid=f"AC{derive(vault, NAME, 'account')[:32]}",
            auth_token=SecretStr(derive(vault, NAME, "token")[:32]),
            from_number="+15005550006",
            api_base=SIMULATOR,
        )
        return demo.model_copy(update=chosen)
