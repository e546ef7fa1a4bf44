"""Messenger for the contract suite."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from channels.adapters.messenger.channel import MessengerChannel
from channels.adapters.messenger.connection import Connection
from channels.adapters.messenger.settings import MessengerSettings
from channels.contract import Channel, Surroundings, Webhook
from service.simulate.chat import meta
from service.simulate.chat.messenger import MessengerPlatform
from service.simulate.contract import Options, Shown
from tests.fakes import faulty
from tests.fakes.specimens.contract import (
    ADAPTERS,
    CUSTOMER,
    NOW,
    Fault,
    Recorded,
)
from tests.fakes.specimens.whatsapp import tampered_signatures, webhook_of


@dataclass
class MessengerSpecimen(Recorded):
    surroundings: Surroundings

    def __post_init__(self) -> None:
        self.folder = ADAPTERS / "messenger"
        account = json.loads((self.folder / "recorded" / "account.json").read_text(encoding="utf-8"))
        self.settings = MessengerSettings.model_validate(account)
        self.shown: list[Shown] = []
        self.platform = MessengerPlatform(
            self.settings, Options(self.surroundings.vault), self.surroundings.clock, self.shown.append
        )
        self.platform.people.wrote("tests", NOW, CUSTOMER)
        self.transport = faulty.FaultyTransport(self.platform.application())
        self.channel: Channel = self.channel_with(self.settings)

    def channel_with(self, settings: MessengerSettings) -> MessengerChannel:
        return MessengerChannel(settings, self.surroundings, Connection(settings, transport=self.transport))

    def text_call(self, text: str, number: int) -> Webhook:
        return self._call(message={"mid": f"m_T{number}", "text": text})

    def unknown_event_call(self) -> Webhook:
        return self._call(made_up_tomorrow={"a": [1]})

    def stale_call(self) -> None:
        return None

    def signed_body_call(self, body: bytes) -> Webhook:
        return webhook_of(meta.signed_body(self.settings.app_secret.get_secret_value(), body))

    def tampered(self, call: Webhook) -> Sequence[Webhook]:
        return tampered_signatures(call)

    def changing_secret(self) -> tuple[Channel, Channel, Webhook]:
        new = {"app_secret": SecretStr("brand-new-secret")}
        old = {"previous_app_secret": self.settings.app_secret}
        during = self.channel_with(self.settings.model_copy(update={**new, **old}))
        after = self.channel_with(self.settings.model_copy(update=new))
        return during, after, self.text_call("rotated", 7)

    def seen(self) -> Sequence[str]:
        return [shown.text for shown in self.shown if shown.kind == "text"]

    def fail_next_send(self, fault: Fault) -> None:
        planned = faulty.timeout if fault == "timeout" else faulty.status(int(fault))
        self.transport.next_call("/messages", planned)

    def secrets(self) -> Sequence[str]:
        hidden = ("app_secret", "access_token", "verify_token")
        return [CUSTOMER, *(getattr(self.settings, name).get_secret_value() for name in hidden)]

    def _call(self, **content: Any) -> Webhook:
        item = {**self.platform.item("tests", **content), "sender": {"id": CUSTOMER}}
        return webhook_of(self.platform.call(item))
