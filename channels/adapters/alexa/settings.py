"""What connects one Alexa skill. The platform's keys are its own, so there is no secret; the demo has an authority of its own.

Read from HUILIU_ALEXA_… by the wiring; the channel and the simulator pass it through `or_demo`.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from channels.families.speakers.linked import Linking
from channels.platforms import signatures
from foundation.security import Vault

NAME = "alexa"
PLATFORM = "https://s3.amazonaws.com"
SIMULATOR = "http://127.0.0.1:8765"


class AlexaSettings(BaseModel):
    """All empty: the demo's skill."""

    model_config = ConfigDict(frozen=True)

    skill_id: str = Field(
        "", description="The skill's ID, amzn1.ask.skill.…; calls for other skills are refused."
    )
    api_base: str = Field(
        PLATFORM, description="Where Amazon's signing certificates lie; the simulator's address."
    )
    free_text_intent: str = Field(
        "AskIntent", description="The intent of the interaction model that takes any words."
    )
    free_text_slot: str = Field("query", description="Its slot of type AMAZON.SearchQuery.")
    elicits: bool = Field(
        True,
        description="Ask for the free-text slot with each answer, so that the next words need no carrier phrase.",
    )
    account_linking: Linking = Field(
        "none",
        description="How the access token of account linking is verified: user_token (signed by the shop with one of "
        "the identity keys), or none (it proves nothing).",
    )
    timestamp_tolerance_seconds: int = Field(150, ge=10, le=150, description="Amazon allows at most 150.")
    deadline_seconds: float = Field(
        6.5, gt=0, le=7.5, description="Wait so long for the reply; Alexa gives up after 8."
    )
    speech_limit: int = Field(
        600, ge=100, le=6000, description="Characters said in one turn; the rest on “go on”."
    )

    @model_validator(mode="after")
    def _complete(self) -> AlexaSettings:
        if self.skill_id and not self.skill_id.startswith("amzn1.ask.skill."):
            raise ValueError("skill_id begins with amzn1.ask.skill.")
        if not (self.free_text_intent and self.free_text_slot):
            raise ValueError(
                "free_text_intent and free_text_slot are needed: they bring what the customer says"
            )
        return self

    @property
    def is_demo(self) -> bool:
        return not self.skill_id

    @property
    def is_played(self) -> bool:
        """Certificates come from this machine: the simulator's authority is trusted instead of the public ones."""
        return urlsplit(self.api_base).hostname in ("127.0.0.1", "localhost")

    def or_demo(self, vault: Vault) -> AlexaSettings:
        if not self.is_demo:
            return self
        demo = {
            "skill_id": f"amzn1.ask.skill.{signatures.derive(vault, NAME, 'skill')[:32]}",
            "api_base": SIMULATOR,
        }
        chosen = {name: getattr(self, name) for name in self.model_fields_set if getattr(self, name) != ""}
        return self.model_copy(update=demo | chosen)


def authority_secret(vault: Vault) -> str:
    """For `certificates.demo_authority`, on both sides."""
    return signatures.derive(vault, NAME, "authority")
