"""What the specimens of channels with signed JSON have in common."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

from channels.contract import Channel, Surroundings, Webhook
from service.simulate.contract import Call, Options, Shown
from tests.fakes.faulty import FaultyTransport, of
from tests.fakes.specimens.contract import ADAPTERS, NOW, Fault, Recorded

VALUES = ("", "0", "签名", "\udcff", "a" * 40)


class JsonSpecimen(Recorded):
    """A channel's module sets `channel`, `transport` and the path of its sends, and adds its own calls."""

    name = ""
    send_path = ""
    tries_with_401 = 2
    """A refused token is renewed and the call repeated, so the fault must last."""
    channel: Channel
    transport: FaultyTransport

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self.folder = ADAPTERS / self.name
        self.account = json.loads((self.folder / "recorded" / "account.json").read_text(encoding="utf-8"))
        self.options = Options(surroundings.vault)
        self.shown: list[Shown] = []

    def seen(self) -> Sequence[str]:
        return [shown.text for shown in self.shown]

    def fail_next_send(self, fault: Fault) -> None:
        times = self.tries_with_401 if fault == "401" else 1
        self.transport.next_call(self.send_path, of(fault), times=times)

    @staticmethod
    def webhook(call: Call, **delta: float) -> Webhook:
        headers = {name.lower(): value for name, value in call.headers.items()}
        received = NOW + timedelta(**delta)
        return Webhook(call.method, dict(call.query), headers, call.body, received)

    @staticmethod
    def with_headers(call: Webhook, names: Iterable[str]) -> list[Webhook]:
        """Each header missing, of hostile values, cut and from elsewhere."""
        changed = []
        for name in names:
            given = call.headers[name]
            changed.append(replace(call, headers={k: v for k, v in call.headers.items() if k != name}))
            changed += [
                replace(call, headers={**call.headers, name: value})
                for value in (*VALUES, given[:-1], given[::-1] + "1")
            ]
        return changed

    @staticmethod
    def with_other_body(call: Webhook) -> list[Webhook]:
        middle = len(call.body) // 2
        other = b"B" if call.body[middle : middle + 1] != b"B" else b"C"
        bent = call.body[:middle] + other + call.body[middle + 1 :]
        return [replace(call, body=body) for body in (bent, call.body[:-9], call.body + b" ", b"")]
