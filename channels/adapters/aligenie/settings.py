"""What connects one AliGenie skill. The platform signs nothing, so the address itself is the secret.

Read from HUILIU_ALIGENIE_… by the wiring; the channel and the simulator pass it through `or_demo`.
"""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from channels.families.speakers.linked import Linking
from channels.platforms import signatures
from foundation.security import Vault

NAME = "aligenie"
SHORTEST_SECRET = 16
_SECRET = re.compile(r"[A-Za-z0-9_-]+")
_FILE = re.compile(r"[A-Za-z0-9_-]{1,100}\.txt")


class AligenieSettings(BaseModel):
    """Without `path_secret`: the demo's own."""

    model_config = ConfigDict(frozen=True)

    path_secret: SecretStr = Field(
        SecretStr(""),
        description="The last part of the hook's address, at least 16 letters and digits nobody can guess.",
    )
    previous_path_secret: SecretStr = Field(
        SecretStr(""), description="Still accepted while a change of the address reaches the platform."
    )
    header_name: str = Field("", description="A header of your own that the console sends with each call.")
    header_value: SecretStr = Field(
        SecretStr(""), description="Its secret value; calls without it are refused."
    )
    skill_id: str = Field("", description="The skill's ID; with it, calls for other skills are refused.")
    auth_file_name: str = Field(
        "", description="The name of the console's verification file, ending in .txt."
    )
    auth_file_content: str = Field("", description="What stands in that file.")
    welcome_intent: str = Field("welcome", description="The intent that opens the skill (protocol V1).")
    parameter: str = Field(
        "any", description="The intent parameter that is asked for to keep listening (V1)."
    )
    slot: str = Field(
        "", description="The slot that is asked for to keep listening (V2); empty: none is named."
    )
    account_linking: Linking = Field(
        "none",
        description="How the token of account linking is verified: user_token (signed by the shop with one of the "
        "identity keys), or none (it proves nothing).",
    )
    deadline_seconds: float = Field(
        2.2, gt=0, le=10, description="Wait so long for the reply; then say “接着说”."
    )
    speech_limit: int = Field(
        180, ge=50, le=2000, description="Characters said in one turn; the rest on “接着说” (V2)."
    )

    @model_validator(mode="after")
    def _complete(self) -> AligenieSettings:
        for name in ("path_secret", "previous_path_secret"):
            secret = getattr(self, name).get_secret_value()
            if secret and (len(secret) < SHORTEST_SECRET or not _SECRET.fullmatch(secret)):
                raise ValueError(f"{name} has at least {SHORTEST_SECRET} letters, digits, - or _")
        if bool(self.header_name) != bool(self.header_value.get_secret_value()):
            missing = "header_value" if self.header_name else "header_name"
            raise ValueError(f"header_name and header_value are needed together; missing: {missing}")
        if bool(self.auth_file_name) != bool(self.auth_file_content):
            missing = "auth_file_content" if self.auth_file_name else "auth_file_name"
            raise ValueError(f"auth_file_name and auth_file_content are needed together; missing: {missing}")
        if self.auth_file_name and not _FILE.fullmatch(self.auth_file_name):
            raise ValueError("auth_file_name is a plain file name ending in .txt")
        return self

    @property
    def is_demo(self) -> bool:
        return not self.path_secret.get_secret_value()

    def or_demo(self, vault: Vault) -> AligenieSettings:
        if not self.is_demo:
            return self
        return self.model_copy(update={"path_secret": SecretStr(signatures.derive(vault, NAME, "path")[:40])})
