"""What connects one XiaoAi skill, and the credentials of the demo that nobody has to type.

Read from HUILIU_XIAOAI_… by the wiring; the channel and the simulator pass it through `or_demo`.
"""

from __future__ import annotations

import base64
import binascii

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from channels.families.speakers.linked import Linking
from channels.platforms import signatures
from foundation.security import Vault

NAME = "xiaoai"


class XiaoaiSettings(BaseModel):
    """All empty: the demo's own key. Otherwise key id and secret are needed together."""

    model_config = ConfigDict(frozen=True)

    key_id: str = Field("", description="The ID of the skill's signing key.")
    secret: SecretStr = Field(SecretStr(""), description="The signing key, Base64 as the console shows it.")
    previous_key_id: str = Field(
        "", description="Still accepted while a change of keys reaches the platform."
    )
    previous_secret: SecretStr = Field(SecretStr(""), description="The key that belongs to it.")
    app_id: str = Field("", description="The skill's app id; with it, calls for other skills are refused.")
    account_linking: Linking = Field(
        "none",
        description="How the access token of account linking is verified: user_token (signed by the shop with one of "
        "the identity keys), or none (it proves nothing).",
    )
    session_memory: bool = Field(
        True,
        description="XiaoAi hands back what an answer left in the session; false: long replies are cut aloud.",
    )
    timestamp_tolerance_seconds: int = Field(
        300, ge=10, le=3600, description="How old or early a call may be."
    )
    deadline_seconds: float = Field(
        2.2, gt=0, le=10, description="Wait so long for the reply; then say “接着说”."
    )
    speech_limit: int = Field(
        180, ge=50, le=2000, description="Characters said in one turn; the rest on “接着说”."
    )

    @model_validator(mode="after")
    def _complete(self) -> XiaoaiSettings:
        for id_name, secret_name in (("key_id", "secret"), ("previous_key_id", "previous_secret")):
            key_id, secret = getattr(self, id_name), getattr(self, secret_name).get_secret_value()
            if bool(key_id) != bool(secret):
                missing = secret_name if key_id else id_name
                raise ValueError(f"{id_name} and {secret_name} are needed together; missing: {missing}")
            if secret and not key_bytes(secret):
                raise ValueError(f"{secret_name} is Base64, as the console shows it")
        return self

    @property
    def is_demo(self) -> bool:
        return not self.key_id

    @property
    def keys(self) -> list[tuple[str, bytes]]:
        """Key ids and keys that calls may be signed with."""
        pairs = ((self.key_id, self.secret), (self.previous_key_id, self.previous_secret))
        return [(key_id, key_bytes(secret.get_secret_value())) for key_id, secret in pairs if key_id]

    def or_demo(self, vault: Vault) -> XiaoaiSettings:
        if not self.is_demo:
            return self
        key = base64.b64encode(bytes.fromhex(signatures.derive(vault, NAME, "secret"))).decode()
        key_id = f"demo-{signatures.derive(vault, NAME, 'key id')[:12]}=="
        return self.model_copy(update={"key_id": key_id, "secret": SecretStr(key)})


def key_bytes(secret: str) -> bytes:
    """b"" where it is no Base64."""
    try:
        return base64.b64decode(secret.encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        return b""
