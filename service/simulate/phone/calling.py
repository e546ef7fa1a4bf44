"""A caller and the calls of one switchboard, for the simulators of phone platforms.

The first text begins a call and is said as soon as the answer listens; later texts are said where the last answer listened.
A platform adds how its requests look and what its answers mean.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

import httpx

from service.simulate.contract import Call, Shown

ERROR = "(The platform cannot use this answer. The call ends.)"
CALLEE = "+15005550006"
Where = Mapping[str, str]
"""What the answer gave the next call to carry: a query, or parameters."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the platform makes of an answer. `keys`: so many end an input, 0 when # does."""

    then: Literal["listen", "again", "over"]
    where: Where = field(default_factory=dict)
    says: tuple[str, ...] = ()


@dataclass
class Caller:
    call: str
    number: str
    pending: str = ""
    where: Where | None = None


class Calling(ABC):
    """The half of `Platform` that all switchboards share."""

    def __init__(self) -> None:
        self._callers: dict[str, Caller] = {}
        self._calls = 0

    @abstractmethod
    def begins(self, caller: Caller) -> Call: ...

    @abstractmethod
    def speaks(self, caller: Caller, text: str, where: Where) -> Call:
        """Words; keys where the text consists of them; silence for an empty one."""

    @abstractmethod
    def fetches(self, caller: Caller, where: Where) -> Call: ...

    @abstractmethod
    def understand(self, answer: httpx.Response) -> Answer | None:
        """None: not an answer that the platform takes."""

    def say(self, text: str, *, user: str) -> Call:
        caller = self.caller(user)
        if caller.where is None:
            caller.pending = text
            return self.begins(caller)
        return self.speaks(caller, text, caller.where)

    def hear(self, answer: httpx.Response, *, user: str) -> Sequence[Shown]:
        understood = self.understand(answer)
        says = (ERROR,) if understood is None else understood.says
        return [Shown(user, text=text) for text in says]

    def follow_up(self, answer: httpx.Response, *, user: str) -> Call | None:
        caller, understood = self.caller(user), self.understand(answer)
        if understood is None or understood.then == "over":
            del self._callers[user]
            return None
        if understood.then == "again":
            return self.fetches(caller, understood.where)
        caller.where = understood.where
        if not caller.pending:
            return None
        text, caller.pending = caller.pending, ""
        return self.speaks(caller, text, caller.where)

    def caller(self, user: str) -> Caller:
        """The number is always the same for one name; each call has an id of its own."""
        if user not in self._callers:
            self._calls += 1
            number = f"+86138{int(hashlib.sha256(user.encode()).hexdigest(), 16) % 10**8:08}"
            name = hashlib.sha256(f"call {self._calls} of {user} at {id(self)}".encode()).hexdigest()[:32]
            self._callers[user] = Caller(name, number)
        return self._callers[user]


def is_keys(text: str) -> bool:
    return bool(text) and all(sign in "0123456789*#" for sign in text)


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))
