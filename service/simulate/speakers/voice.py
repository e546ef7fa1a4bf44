"""What the speakers of all platforms do alike: a session of one customer that lives as long as answers keep it open.

`alexa`, `dueros`, `xiaoai` and `aligenie` play their platforms with it. Three texts are not said but done: "open" wakes the
skill without a word, "…" is silence after the skill has asked, "close" leaves it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.types import ASGIApp

from foundation.clock import Clock
from service.simulate.contract import Call, Shown

OPEN, SILENCE, CLOSE = "open", "…", "close"


@dataclass
class Session:
    number: int
    new: bool = True
    attributes: dict[str, Any] = field(default_factory=dict)


class Speaker:
    """Derived by each platform's own."""

    patience_seconds = 8.0
    address = "http://127.0.0.1:8765"
    """Of a platform that has no API; nobody calls it."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.linked: dict[str, str] = {}
        """Access tokens of the customers who have linked their account."""
        self._sessions: dict[str, Session] = {}
        self._count = 0

    def session(self, user: str) -> Session:
        """The open one, or a new one."""
        if user not in self._sessions:
            self._sessions[user] = Session(self.number())
        return self._sessions[user]

    def number(self) -> int:
        self._count += 1
        return self._count

    def told(self, user: str, text: str, *, keeps_open: bool, attributes: object) -> Sequence[Shown]:
        """What the platform does with an answer: says it, keeps the session and its attributes, or ends it."""
        if keeps_open:
            session = self.session(user)
            session.new = False
            session.attributes = attributes if isinstance(attributes, dict) else {}
        else:
            self._sessions.pop(user, None)
        return [Shown(user, text=text)] if text else []

    def follow_up(self, answer: httpx.Response, *, user: str) -> Call | None:
        return None

    def application(self) -> ASGIApp:
        """These platforms have no API that we call, but for a certificate."""
        return Starlette()


def id_of(user: str, prefix: str = "") -> str:
    """The platform's name for a customer of the simulation."""
    return prefix + hashlib.sha256(f"speaker {user}".encode()).hexdigest()[:24].upper()
