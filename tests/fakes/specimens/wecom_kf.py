"""WeChat customer service for the contract suite: its messages are fetched, so its specimen keeps the shorter promise."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from channels.adapters.wecom_kf import codec
from channels.adapters.wecom_kf.channel import WecomKfChannel
from channels.adapters.wecom_kf.connection import Connection
from channels.adapters.wecom_kf.settings import NAME, WecomKfSettings
from channels.contract import Channel, Surroundings
from channels.platforms.shelf import Shelf
from foundation.messages import InboundMessage
from service.simulate.contract import Options
from service.simulate.wechat.wecom_kf import WecomKfPlatform
from tests.fakes.specimens.contract import ADAPTERS, CUSTOMER, recordings_of


@dataclass
class WecomKfSpecimen:
    surroundings: Surroundings

    def __post_init__(self) -> None:
        self.folder = ADAPTERS / NAME
        account = json.loads((self.folder / "recorded" / "account.json").read_text(encoding="utf-8"))
        self.settings = WecomKfSettings.model_validate(account)
        options = Options(self.surroundings.vault)
        platform = WecomKfPlatform(self.settings, options, self.surroundings.clock, lambda _shown: None)
        platform.api.note_action(CUSTOMER)
        transport = httpx.ASGITransport(platform.application())
        connection = Connection(self.settings, Shelf(NAME, self.surroundings), transport=transport)
        self.channel: Channel = WecomKfChannel(self.settings, self.surroundings, connection)

    def recordings(self) -> Sequence[Path]:
        return recordings_of(self.folder)

    def read_recording(self, path: Path) -> tuple[Sequence[InboundMessage], dict[str, Any]]:
        """A recording holds one item as it was fetched."""
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        place = codec.Place(self.surroundings.tenant, self.surroundings.account, self.settings.corp_id)
        received_at = datetime.fromtimestamp(stored["received_at"], UTC)
        message = codec.read_item(stored["item"], place, received_at=received_at)
        return [] if message is None else [message], stored["expect"]
