"""A Slack app for the contract suite."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import SecretStr

from channels.adapters.slack import markup
from channels.adapters.slack.channel import SlackChannel
from channels.adapters.slack.connection import Connection
from channels.adapters.slack.settings import SlackSettings
from channels.contract import Channel, Surroundings, Webhook
from service.simulate.chat.slack import SlackPlatform
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
class SlackSpecimen(Recorded):
    surroundings: Surroundings

    def __post_init__(self) -> None:
        self.folder = ADAPTERS / "slack"
        account = json.loads((self.folder / "recorded" / "account.json").read_text(encoding="utf-8"))
        self.settings = SlackSettings.model_validate(account)
        self.shown: list[Shown] = []
        options = Options(self.surroundings.vault)
        self.platform = SlackPlatform(self.settings, options, self.surroundings.clock, self.shown.append)
        self.platform.know(CUSTOMER, CUSTOMER)
        self.transport = faulty.FaultyTransport(self.platform.application())
        self.channel: Channel = self._channel(self.settings)

    def _channel(self, settings: SlackSettings) -> SlackChannel:
        return SlackChannel(settings, self.surroundings, Connection(settings, transport=self.transport))

    def text_call(self, text: str, number: int) -> Webhook:
        ts = f"{int(NOW.timestamp())}.{number:06d}"
        event = {"type": "message", "channel": "D01", "channel_type": "im", "user": CUSTOMER, "ts": ts}
        return _webhook(self.platform.event({**event, "text": markup.escape(text)}))

    def unknown_event_call(self) -> Webhook:
        event = {"type": "made_up_tomorrow", "user": CUSTOMER, "channel": "D01", "event_ts": "1.0"}
        return _webhook(self.platform.event(event))

    def stale_call(self) -> Webhook:
        body = self.text_call("old", 1).body
        return _webhook(self.platform.signed(body, at=int(NOW.timestamp()) - 301))

    def signed_body_call(self, body: bytes) -> Webhook:
        return _webhook(self.platform.signed(body))

    def tampered(self, call: Webhook) -> Sequence[Webhook]:
        name, stamp = "x-slack-signature", "x-slack-request-timestamp"
        right = call.headers[name]
        given = ["", "签名", right[:-1], right.upper(), right[3:], "v0=" + "0" * 64, right[:-4] + "\udcff"]
        changed = [replace(call, headers={**call.headers, name: value}) for value in given]
        moved = [replace(call, headers={**call.headers, stamp: value}) for value in ("", "１", "1", "nan")]
        without = [
            replace(call, headers={n: v for n, v in call.headers.items() if n != gone})
            for gone in (name, stamp)
        ]
        bent = replace(call, body=call.body.replace(b"message", b"massage"))
        other = _webhook(self.platform.signed(call.body, secret="another secret"))
        return [*changed, *moved, *without, bent, other, replace(call, headers={})]

    def changing_secret(self) -> tuple[Channel, Channel, Webhook]:
        new = {"signing_secret": SecretStr("brandnewsecret")}
        old = {"previous_signing_secret": self.settings.signing_secret}
        during = self._channel(self.settings.model_copy(update={**new, **old}))
        return during, self._channel(self.settings.model_copy(update=new)), self.text_call("rotated", 7)

    def seen(self) -> Sequence[str]:
        return [shown.text for shown in self.shown]

    def fail_next_send(self, fault: Fault) -> None:
        self.transport.next_call("/chat.postMessage", faulty.of(fault))

    def secrets(self) -> Sequence[str]:
        hidden = (self.settings.signing_secret, self.settings.bot_token)
        return [CUSTOMER, *(one.get_secret_value() for one in hidden)]


def _webhook(call: Call) -> Webhook:
    return Webhook("POST", call.query, call.headers, call.body, NOW)
