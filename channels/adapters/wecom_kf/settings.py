"""What connects the customer service accounts of one corporation; see `channels.families.wechat.wecom` for what all of WeCom shares."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from channels.families.wechat.wecom import CorpSettings
from channels.platforms.signatures import derive
from foundation.security import Vault

NAME = "wecom_kf"


class WecomKfSettings(CorpSettings):
    channel: ClassVar[str] = NAME

    open_kfid: str = Field(
        "",
        description="Customer service accounts to serve, wk…, separated by commas. Empty: all that the app may manage",
    )
    poll_seconds: float = Field(
        120,
        ge=5,
        le=3600,
        description="How often to look for messages whose callback got lost; WeCom limits such looks",
    )
    voice_format: Literal["amr", "silk"] = Field(
        "amr", description="Form in which voice messages are kept by WeCom"
    )
    handover: Literal["none", "queue", "servicer"] = Field(
        "none",
        description="Where a customer goes who is handed to people inside WeCom: none, the queue, or one servicer",
    )
    servicer_userid: str = Field(
        "", description="The member who serves customers that are handed over to one servicer"
    )

    @model_validator(mode="after")
    def _names_servicer(self) -> Self:
        if self.handover == "servicer" and not self.servicer_userid:
            raise ValueError("handover to a servicer needs servicer_userid")
        return self

    @property
    def accounts(self) -> tuple[str, ...]:
        return tuple(name for part in self.open_kfid.split(",") if (name := part.strip()))

    @classmethod
    def demo(cls, vault: Vault) -> dict[str, Any]:
        return {**super().demo(vault), "open_kfid": f"wk{derive(vault, NAME, 'account')[:16]}"}
