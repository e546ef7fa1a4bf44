"""What connects one DuerOS skill. Baidu signs with a key of its own, so there is no secret; the demo has its own authority.

Read from HUILIU_DUEROS_… by the wiring; the channel and the simulator pass it through `or_demo`.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from channels.families.speakers.linked import Linking
from channels.platforms import signatures
from foundation.security import Vault

NAME = "dueros"
PLATFORM = "https://duer.bdstatic.com"
SIMULATOR = "http://127.0.0.1:8765"
ANY = "*"


class DuerosSettings(BaseModel):
    """All empty: the demo's skill."""

    model_config = ConfigDict(frozen=True)

    bot_id: str = Field("", description="The skill's ID; calls for other skills are refused.")
    api_base: str = Field(PLATFORM, description="Where Baidu's certificate lies; the simulator's address.")
    certificate_name: str = Field(
        "dueros-api.baidu.com",
        description="The host that Baidu's certificate must name; * takes any certificate from Baidu's place.",
    )
    account_linking: Linking = Field(
        "none",
        description="How the access token of account linking is verified: user_token (signed by the shop with one of "
        "the identity keys), or none (it proves nothing).",
    )
    timestamp_tolerance_seconds: int = Field(
        180, ge=10, le=3600, description="How old or early a call may be."
    )
    deadline_seconds: float = Field(
        2.2, gt=0, le=10, description="Wait so long for the reply; then say “接着说”."
    )
    speech_limit: int = Field(
        180, ge=50, le=2000, description="Characters said in one turn; the rest on “接着说”."
    )

    @property
    def is_demo(self) -> bool:
        return not self.bot_id

    @property
    def is_played(self) -> bool:
        """The certificate comes from this machine: it must then be the simulator's authority's."""
        return urlsplit(self.api_base).hostname in ("127.0.0.1", "localhost")

    def or_demo(self, vault: Vault) -> DuerosSettings:
        if not self.is_demo:
            return self
        demo = {"bot_id": signatures.derive(vault, NAME, "bot")[:32], "api_base": SIMULATOR}
        chosen = {name: getattr(self, name) for name in self.model_fields_set if getattr(self, name) != ""}
        return self.model_copy(update=demo | chosen)


def authority_secret(vault: Vault) -> str:
    """For `certificates.demo_authority`, on both sides."""
    return signatures.derive(vault, NAME, "authority")
