"""The web chat for the contract suite: its customers come in by routes of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from channels.adapters import web_chat
from channels.contract import Channel, Surroundings
from channels.families.live_chat import codec as web_chat_codec
from channels.families.live_chat.tokens import Pass
from foundation.messages import ConversationId, InboundMessage
from tests.fakes.specimens.contract import ADAPTERS, NOW, recordings_of


@dataclass
class WebChatSpecimen:
    surroundings: Surroundings

    def __post_init__(self) -> None:
        self.folder = ADAPTERS / "web_chat"
        self.channel: Channel = web_chat.SPEC.build(web_chat.SPEC.settings(), self.surroundings)

    def recordings(self) -> Sequence[Path]:
        return recordings_of(self.folder)

    def read_recording(self, path: Path) -> tuple[Sequence[InboundMessage], dict[str, Any]]:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        frame = web_chat_codec.parse_frame(json.dumps(stored["frame"]))
        if not isinstance(frame, web_chat_codec.Send):
            return [], stored["expect"]
        visitor = Pass(self.surroundings.tenant, str(UUID(int=1)), ConversationId("c1"), NOW)
        message = web_chat_codec.to_inbound(
            frame, visitor, channel="web_chat", account="site", device=True, attachments=(), now=NOW
        )
        return [message], stored["expect"]
