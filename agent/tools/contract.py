"""What a tool promises: its arguments, whether it changes anything, what it does in the table of levels, what it asks for.

`nodes/act.py` is the caller, through `conduct`; `registry.py` lists the members. A tool never writes sentences: it
answers with the id of a reply file and the values for it, so that the content team owns the words. `customer` is
never an argument: the context carries the account that was proven, and only the tool binds it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, Protocol, TypedDict

from pydantic import BaseModel, ConfigDict

from customers.proof.levels import Allowed, Decision, Standing, decide
from foundation import errors

Value = str | list[str]
Values = Mapping[str, Value]


class Option(TypedDict):
    """Something to choose from. `value` is what the tool needs, the labels are what people see and say."""

    value: str
    zh: str
    en: str


class Question(TypedDict):
    """An open question in a form that survives a restart: reply id, its values, what can be chosen."""

    reply: str
    values: dict[str, Any]
    options: list[Option]


class OrderSystem(Protocol):
    """The shop's systems, as `mcp.McpOrders` reaches them."""

    async def call(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Raises `UpstreamUnavailable` (also after the time limit of a call) or `UpstreamRefused`."""
        ...


class OwnData(Protocol):
    """What one conversation may do with the data of its own customer; bound to the conversation, which decides what is proven."""

    async def state(self, purpose: str, state: str) -> bool:
        """States a consent; whether the use is allowed now. Repeatable."""
        ...

    async def about(self, language: str) -> Mapping[str, Any]:
        """Never more than the conversation has proven."""
        ...


@dataclass(frozen=True, slots=True)
class ToolContext:
    """`account` is the proven account or "" ; `key` = conversation/turn/tool repeats with the turn; `does` is the tool's."""

    orders: OrderSystem
    account: str
    standing: Standing
    does: str
    language: Literal["zh", "en"]
    key: str
    intent: str = ""
    approved_by: str = ""
    own: OwnData | None = None

    def own_data(self) -> OwnData:
        """Raises `UpstreamUnavailable` where nothing is kept about customers."""
        if self.own is None:
            raise errors.UpstreamUnavailable("nothing is kept about customers here", code="no_own_data")
        return self.own

    def decide(self, amount: str = "") -> Decision:
        """Whether what is proven is enough for this tool, and for this amount of money. A person who has agreed has
        looked at who asks."""
        if self.approved_by:
            return Allowed()
        return decide(self.does, self.standing, Decimal(amount) if amount else None)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """`code` is stable; `reply` and `data` are what the customer is told. `again` names a slot worth asking anew."""

    ok: bool
    code: str
    reply: str
    data: Mapping[str, Any] = field(default_factory=dict)
    options: Sequence[Option] = ()
    again: str = ""
    order_no: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """What would happen, read back before it does. `needs_approval` names why a person has to agree first, or ""."""

    reply: str
    data: Mapping[str, Any]
    needs_approval: str = ""
    amount: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """One message as a form hears it. `plain` is lower-case simplified script; `acts` and `entities` come from
    understanding."""

    text: str
    plain: str
    acts: frozenset[str] = frozenset()
    entities: Mapping[str, Sequence[str]] = field(default_factory=dict)
    question: bool = False

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Heard:
        """From the plain form in which it travels in the state of a turn."""
        return cls(
            text=plain["text"], plain=plain["plain"], acts=frozenset(plain["acts"]),
            entities=plain["entities"], question=plain["question"],
        )  # fmt: skip


Reader = Callable[[Heard], str | None]


def _always(_values: Values) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Slot:
    """One thing a tool must know.

    `read` finds it anywhere in a message and must be sure; `read_answer` reads the answer to the slot's own question
    and may take the words as they are. A slot with `offered` chooses among options that the tool looks up.
    `after` names the slots it depends on: when one of them changes, this one is forgotten.
    """

    name: str
    ask: str
    read: Reader | None = None
    read_answer: Reader | None = None
    offered: bool = False
    several: bool = False
    after: tuple[str, ...] = ()
    when: Callable[[Values], bool] = _always
    named: re.Pattern[str] | None = None
    """How a customer names the slot itself ("the address is wrong")."""
    amend: Callable[[Heard, str], str | None] | None = None
    """The whole corrected value, from a message that says only the part that is wrong ("no, 302"); asked only while a
    value waits for its confirmation."""


class Arguments(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Tool(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def arguments(self) -> type[Arguments]: ...

    @property
    def effect(self) -> Literal["read", "write"]: ...

    @property
    def does(self) -> str:
        """Its name in the table of levels."""
        ...

    @property
    def slots(self) -> tuple[Slot, ...]: ...

    async def options(self, slot: str, values: Values, context: ToolContext) -> Sequence[Option] | ToolResult:
        """What can be chosen for an offered slot; a result instead when there is nothing to choose."""
        ...

    async def admits(self, values: Values, context: ToolContext) -> ToolResult | None:
        """Why what is known so far can come to nothing, before more is asked; None when it can go on."""
        ...

    async def check(self, values: Values, context: ToolContext) -> Check | ToolResult:
        """The read-back before the one confirmation, without changing anything; a result when it will not work."""
        ...

    async def run(self, values: Values, context: ToolContext) -> ToolResult:
        """Carries it out. The same `context.key` carries it out once. Raises `NotPermitted` below its proof level."""
        ...
