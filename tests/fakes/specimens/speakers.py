"""What the specimens of the speakers share: a simulated platform's call as a webhook, and the usual ways to spoil one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from channels.contract import Channel, Surroundings, Webhook
from channels.families.speakers.certificates import Fetch
from foundation.messages import InboundMessage
from service.simulate.contract import Call, Shown
from tests.fakes.specimens.contract import ADAPTERS, NOW, admit, recorded_call, recordings_of

USER = "guest"


@dataclass
class SpeakerSpecimen:
    """Derived by each speaker's own; `hears` is its simulator's."""

    surroundings: Surroundings
    name = ""
    channel: Channel
    hears: Callable[[httpx.Response], Sequence[Shown]]

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings

    @property
    def folder(self) -> Path:
        return ADAPTERS / self.name

    @property
    def account(self) -> dict[str, Any]:
        stored: dict[str, Any] = json.loads(
            (self.folder / "recorded" / "account.json").read_text(encoding="utf-8")
        )
        return stored

    def recordings(self) -> Sequence[Path]:
        return recordings_of(self.folder)

    def read_recording(self, path: Path) -> tuple[Sequence[InboundMessage], dict[str, Any]]:
        call, expected = recorded_call(path)
        call = self.resigned(call)
        admit(self.channel, call)
        return self.channel.read(call), expected

    def resigned(self, call: Webhook) -> Webhook:
        """Recordings hold no signature where the platform's certificates would run out."""
        return call

    def heard(self, body: bytes) -> str:
        shown = self.hears(httpx.Response(200, content=body))
        return "".join(one.text for one in shown)


def webhook(call: Call, *, path: str = "", headers: dict[str, str] | None = None) -> Webhook:
    lower = {name.lower(): value for name, value in {**call.headers, **(headers or {})}.items()}
    return Webhook(
        call.method,
        call.query,
        lower,
        call.body,
        NOW,
        call.path.removeprefix("/"),
        path or "/v1/hooks/demo/x",
    )


def handing(pem: bytes) -> Fetch:
    """For every address the same."""

    async def fetch(_url: str) -> bytes:
        return pem

    return fetch


def tampered(call: Webhook, names: Iterable[str]) -> list[Webhook]:
    """Each header missing, empty, foreign, not ASCII and cut, and the body changed in one byte and cut."""
    middle = len(call.body) // 2
    other = b"B" if call.body[middle : middle + 1] == b"A" else b"A"
    bent = replace(call, body=call.body[:middle] + other + call.body[middle + 1 :])
    spoilt = [
        bent,
        replace(call, body=call.body[:-3]),
        replace(call, body=call.body + b" "),
        replace(call, headers={}),
    ]
    for name in names:
        rest = {key: value for key, value in call.headers.items() if key != name}
        values = ("", "0", "签名\udcff", "http://[", call.headers[name][:-9], call.headers[name][::-1])
        spoilt += [replace(call, headers=rest)]
        spoilt += [replace(call, headers={**rest, name: value}) for value in values]
    return spoilt
