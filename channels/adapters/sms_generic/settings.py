"""What connects one SMS gateway, and the credentials of the demo that nobody has to type.

Read from HUILIU_SMS_GENERIC_… or from an account that was added; the simulator passes the same model through `or_demo`.
"""

from __future__ import annotations

import base64

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from channels.platforms.signatures import derive
from channels.platforms.standard_webhooks import key_of
from foundation.security import Vault

NAME = "sms_generic"
SIMULATOR = "http://127.0.0.1:8765/messages"
_SECRETS = ("secret", "previous_secret", "outbound_secret", "previous_outbound_secret")


class SmsGenericSettings(BaseModel):
    """All empty: the demo's own credentials. Otherwise the secret and the gateway's address are needed together."""

    model_config = ConfigDict(frozen=True)

    secret: SecretStr = Field(
        SecretStr(""), description="whsec_ and base64 of at least 16 bytes: signs the calls."
    )
    previous_secret: SecretStr = Field(
        SecretStr(""),
        description="Still accepted, and signed with as well, while the secret is being changed.",
    )
    outbound_secret: SecretStr = Field(
        SecretStr(""),
        description="Signs our calls to the gateway; empty: the same secret in both directions.",
    )
    previous_outbound_secret: SecretStr = Field(
        SecretStr(""), description="Our calls carry its signature, too, while the outbound secret is being changed."
    )  # fmt: skip
    api_base: str = Field("", description="Where the gateway takes our messages: the whole address.")
    gateway: str = Field(
        "gateway", description="A name for the gateway; customers' numbers are known under it."
    )
    from_number: str = Field("", description="Our number, for messages that answer nothing.")
    country: str = Field("", description="Country code of numbers that come without one, e.g. 86.")
    text_limit: int = Field(1500, ge=60, le=5000, description="UTF-16 units that the gateway takes at once.")
    number_parts: bool = Field(True, description="Put (1/3) before the parts of a long reply.")
    timestamp_tolerance_seconds: int = Field(
        300, ge=30, le=3600, description="So far may the gateway's clock be from ours."
    )

    @model_validator(mode="after")
    def _complete(self) -> SmsGenericSettings:
        secret = self.secret.get_secret_value()
        if bool(secret) != bool(self.api_base) and not _is_local(self.api_base):
            missing = "api_base" if secret else "secret"
            raise ValueError(f"a gateway needs secret and api_base together; missing: {missing}")
        for name in _SECRETS:
            value = getattr(self, name).get_secret_value()
            if value and not key_of(value):
                raise ValueError(f"{name} is whsec_ and the base64 of at least 16 bytes")
        return self

    @property
    def is_demo(self) -> bool:
        return not self.secret.get_secret_value()

    def or_demo(self, vault: Vault) -> SmsGenericSettings:
        """These settings where they name a gateway; otherwise the demo's, changed by what else is set here."""
        if not self.is_demo:
            return self
        chosen = {name: getattr(self, name) for name in self.model_fields_set - set(_SECRETS)}
        key = base64.b64encode(bytes.fromhex(derive(vault, NAME, "secret"))).decode()
        demo = SmsGenericSettings(
            secret=SecretStr(f"whsec_{key}"), api_base=SIMULATOR, from_number="+15005550006", country="86"
        )
        return demo.model_copy(update=chosen)


def _is_local(address: str) -> bool:
    """The simulator on another port."""
    return address.startswith(("http://127.0.0.1:", "http://localhost:"))
