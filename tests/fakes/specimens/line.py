"""A LINE official account for the contract suite."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import SecretStr

from channels.adapters.line.channel import LineChannel
from channels.adapters.line.connection import Connection
from channels.adapters.line.settings import LineSettings
from channels.contract import Channel, Surroundings, Webhook
from service.simulate.chat.line import LinePlatform
from service.simulate.contract import Call, Options, Shown
from tests.fakes import faulty
from tests.fakes.specimens.contract import (
    ADAPTERS,
    CUSTOMER,
    NOW,
    Fault,
    Recorded,
)


@dataclass
class LineSpecimen(Recorded):
    surroundings: Surroundings

    def __post_init__(self) -> None:
        self.folder = ADAPTERS / "line"
        account = json.loads((self.folder / "recorded" / "account.json").read_text(encoding="utf-8"))
        self.settings = LineSettings.model_validate(account)
        self.shown: list[Shown] = []
        options = Options(self.surroundings.vault)
        self.platform = LinePlatform(self.settings, options, self.surroundings.clock, self.shown.append)
        self.platform.know(CUSTOMER, CUSTOMER)
        self.transport = faulty.FaultyTransport(self.platform.application())
        self.keys = 0
        self.channel: Channel = self._channel(self.settings)

    def _channel(self, settings: LineSettings) -> LineChannel:
        return LineChannel(settings, self.surroundings, Connection(settings, transport=self.transport))

    def text_call(self, text: str, number: int) -> Webhook:
        message = self.platform.message(type="text", text=text)
        return self._call(type="message", message=message, webhookEventId=f"01K5N{number:020d}")

    def unknown_event_call(self) -> Webhook:
        return self._call(type="madeUpTomorrow")

    def stale_call(self) -> None:
        return None

    def signed_body_call(self, body: bytes) -> Webhook:
        return _webhook(self.platform.signed(body))

    def tampered(self, call: Webhook) -> Sequence[Webhook]:
        name = "x-line-signature"
        right = call.headers[name]
        given = [
            "",
            "签名",
            right[:-1],
            right.lower(),
            right[:20] + "!" + right[21:],
            "A" * 43 + "=",
            right + right,
            "\udcff",
        ]
        changed = [replace(call, headers={**call.headers, name: value}) for value in given]
        bent = replace(call, body=call.body.replace(b"events", b"Events"))
        other = _webhook(self.platform.signed(call.body, secret="another secret"))
        return [*changed, bent, other, replace(call, headers={}), replace(call, body=call.body + b" ")]

    def changing_secret(self) -> tuple[Channel, Channel, Webhook]:
        new = {"channel_secret": SecretStr("brandnewsecret")}
        old = {"previous_channel_secret": self.settings.channel_secret}
        during = self._channel(self.settings.model_copy(update={**new, **old}))
        return during, self._channel(self.settings.model_copy(update=new)), self.text_call("rotated", 7)

    def seen(self) -> Sequence[str]:
        return [shown.text for shown in self.shown if shown.kind == "text"]

    def fail_next_send(self, fault: Fault) -> None:
        self.transport.next_call("/message/push", faulty.of(fault))

    def secrets(self) -> Sequence[str]:
        hidden = (self.settings.channel_secret, self.settings.channel_access_token)
        return [CUSTOMER, *(one.get_secret_value() for one in hidden)]

    def _call(self, **content: Any) -> Webhook:
        source = {"type": "user", "userId": CUSTOMER}
        return _webhook(self.platform.events(self.platform.event("somebody", source=source, **content)))


def _webhook(call: Call) -> Webhook:
    return Webhook("POST", call.query, call.headers, call.body, NOW)
