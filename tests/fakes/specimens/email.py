"""E-mail for the contract suite: mails are pulled, replies go to a mail server on a real socket."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from channels.adapters.email.channel import EmailChannel
from channels.adapters.email.settings import EmailSettings
from channels.contract import Channel, Surroundings
from foundation.messages import InboundMessage
from tests.fakes.specimens.contract import ADAPTERS, recorded_call, recordings_of


class _Kept:
    """In the mail server's place; the server itself is in the adapter's own tests."""

    async def send(self, recipient: str, mail: bytes) -> None:
        assert recipient
        assert mail


@dataclass
class EmailSpecimen:
    surroundings: Surroundings

    def __post_init__(self) -> None:
        self.folder = ADAPTERS / "email"
        account = json.loads((self.folder / "recorded" / "account.json").read_text(encoding="utf-8"))
        channel = EmailChannel(EmailSettings.model_validate(account), self.surroundings, outgoing=_Kept())
        self.channel: Channel = channel

    def recordings(self) -> Sequence[Path]:
        return recordings_of(self.folder)

    def read_recording(self, path: Path) -> tuple[Sequence[InboundMessage], dict[str, Any]]:
        call, expected = recorded_call(path)
        return self.channel.read(call), expected
