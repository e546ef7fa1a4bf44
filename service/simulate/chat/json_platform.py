"""What the simulators of platforms that speak JSON have in common: names and ids of customers, buttons to tap, answers.

A platform's own module adds its signatures, its API and its limits.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from foundation.clock import Clock
from service.simulate.contract import Call, Options, Shown


class JsonPlatform:
    """One account of a provider; `prefix` begins the ids that it gives to customers."""

    prefix = ""
    patience_seconds = 5.0

    def __init__(self, options: Options, clock: Clock, show: Callable[[Shown], None]) -> None:
        self.options = options
        self.clock = clock
        self._show = show
        self._taps: dict[str, dict[str, Any]] = {}
        self._run = secrets.token_hex(4)
        self._count = 0

    def id_of(self, user: str) -> str:
        return self.prefix + user.encode().hex()

    def user_of(self, identity: str) -> str:
        """The name behind an id, or the id where we gave it to nobody."""
        try:
            return bytes.fromhex(identity.removeprefix(self.prefix)).decode()
        except (ValueError, UnicodeDecodeError):
            return identity

    def next_id(self, kind: str) -> str:
        """Unlike all others, also of the runs before."""
        self._count += 1
        return f"{kind}_{self._run}{self._count}"

    def milliseconds(self) -> int:
        return int(self.clock().timestamp() * 1000)

    def show_text(
        self, identity: str, text: str, choices: Sequence[tuple[Any, str]] = (), url: str = ""
    ) -> None:
        """The buttons can be tapped until the next message that has some."""
        if choices:
            self._taps[identity] = {label: value for value, label in choices}
        named = tuple((str(value), label) for value, label in choices)
        self._show(Shown(self.user_of(identity), "text", text, named, url))

    def tapped(self, text: str, identity: str) -> Any:
        """The value of the button with this label; None when there is none."""
        return self._taps.get(identity, {}).get(text)

    def hear(self, answer: httpx.Response, *, user: str) -> Sequence[Shown]:
        return ()

    def follow_up(self, answer: httpx.Response, *, user: str) -> Call | None:
        return None


async def json_of(request: Request) -> dict[str, Any]:
    """{} for what is no object."""
    return parsed(await request.body())


def parsed(content: object) -> dict[str, Any]:
    try:
        value = json.loads(content) if isinstance(content, str | bytes) else None
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def answer(value: Any, status: int = 200) -> Response:
    return JSONResponse(value, status)
