"""What connects one self-built app; see `channels.families.wechat.wecom` for what all of WeCom shares."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from channels.families.wechat.wecom import REQUIRED, CorpSettings
from foundation.security import Vault

NAME = "wecom_app"


class WecomAppSettings(CorpSettings):
    channel: ClassVar[str] = NAME
    required: ClassVar[tuple[str, ...]] = (*REQUIRED, "agent_id")

    agent_id: str = Field("", pattern=r"^\d*$", description="AgentId of the app, digits")
    confidential: bool = Field(False, description="Replies carry a watermark and cannot be passed on")

    @classmethod
    def demo(cls, vault: Vault) -> dict[str, Any]:
        return {**super().demo(vault), "agent_id": "1000002"}
