"""The app for the contract suite: its customers come in by routes of its own, in the words of the live chats."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from channels.adapters import app
from channels.contract import Channel, Surroundings
from channels.families.live_chat import codec
from channels.families.live_chat.tokens import Pass
from foundation.messages import ConversationId, InboundMessage
from tests.fakes.specimens.contract import ADAPTERS, NOW, recordings_of


@dataclass
class AppSpecimen:
    surroundings: Surroundings

    def __post_init__(self) -> None:
        self.folder = ADAPTERS / "app"
        self.channel: Channel = app.SPEC.build(app.SPEC.settings(), self.surroundings)

    def recordings(self) -> Sequence[Path]:
        return recordings_of(self.folder)

    def read_recording(self, path: Path) -> tuple[Sequence[InboundMessage], dict[str, Any]]:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        frame = codec.parse_frame(json.dumps(stored["frame"]))
        if not isinstance(frame, codec.Send):
            return [], stored["expect"]
        user = Pass(
            self.surroundings.tenant, "user-1", ConversationId("c1"), NOW + timedelta(minutes=15), account="demo1"
        )  # fmt: skip
        message = codec.to_inbound(
            frame, user, channel="app", account="main", device=False, attachments=(), now=NOW
        )
        # As lists, the way JSON has them.
        return [message], {
            **stored["expect"],
            **{name: tuple(value) for name, value in stored["expect"].items() if isinstance(value, list)},
        }
