"""What connects one FreeSWITCH, and the credentials of the demo."""

from __future__ import annotations

from pydantic import Field, SecretStr, model_validator

from channels.families.speech.phone_settings import PhoneSettings
from channels.platforms.signatures import derive
from foundation.security import Vault


class PhoneHttapiSettings(PhoneSettings):
    """All empty: the demo's own credentials. Otherwise user and password are needed together."""

    user: str = Field("", description="User name in gateway-credentials of the httapi profile.")
    password: SecretStr = Field(
        SecretStr(""), description="Password in gateway-credentials of the httapi profile."
    )
    previous_password: SecretStr = Field(
        SecretStr(""),
        description="The password before, accepted while it is being changed; empty it afterwards.",
    )
    tts_engine: str = Field("unimrcp", description="FreeSWITCH's module for speech synthesis.")
    asr_engine: str = Field(
        "unimrcp", description="FreeSWITCH's module for speech recognition; empty: callers use the keys only."
    )
    asr_grammar: str = Field("builtin:speech", description="The recogniser's grammar.")
    barge_in: bool = Field(
        False, description="Callers may speak into the last sentence; needs the permission set-vars."
    )
    transfer_context: str = Field("default", description="The dialplan's context of transfer_to.")
    api_base: str = Field(
        "http://127.0.0.1:8765", description="For the simulator only; the channel itself calls nobody."
    )

    @model_validator(mode="after")
    def _complete(self) -> PhoneHttapiSettings:
        if bool(self.user) != bool(self.password.get_secret_value()):
            missing = "password" if self.user else "user"
            raise ValueError(f"a switchboard needs user and password together; missing: {missing}")
        if ":" in self.user:
            raise ValueError("user must not contain a colon")
        return self

    @property
    def is_demo(self) -> bool:
        return not self.user

    def or_demo(self, vault: Vault) -> PhoneHttapiSettings:
        """These settings where they name a user; otherwise with the demo's credentials."""
        if not self.is_demo:
            return self
        secret = SecretStr(derive(vault, "phone_httapi", "password")[:32])
        return self.model_copy(update={"user": "freeswitch", "password": secret})
