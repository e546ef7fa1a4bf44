"""What the nodes may use: the services of the process, and who this turn is for. Given by LangGraph's `Runtime`.

`Services` is built once in the wiring; `turn.Turns` makes an `AgentContext` of it for each turn. Both are frozen, and
neither ends up in a checkpoint.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from agent.customer import Customer, OrdersSeen, ProfileView, WatchedOrders
from agent.policy import Rules
from agent.tools.contract import OrderSystem, OwnData, Tool, ToolContext
from agent.tools.verification import Codes, Proves
from agent.tools.words import Words
from agent.understanding.understand import Understanding
from agent.writing import Writing
from customers.profile.profile import Profiles
from customers.proof.levels import Standing
from foundation.clock import Clock
from foundation.language_models.contract import LanguageModel
from foundation.messages import ConversationId, MessageId, TenantId
from retrieval.passages import Audience, Found, Query

Language = Literal["zh", "en"]

SignInLink = Callable[[TenantId, ConversationId], Awaitable[str]]
"""An address where the customer of this conversation can sign in; "" where the channel has a sign-in of its own."""

Stream = Callable[[ConversationId, MessageId, int, str], None]
"""Shows a piece of a reply that is being written: conversation, message id, index of the piece, text."""


class Understands(Protocol):
    async def prepare(self, text: str) -> None: ...

    async def understand(self, text: str, *, previous_language: str | None = None) -> Understanding: ...


class Knows(Protocol):
    async def search(self, query: Query, limit: int = 5) -> Found: ...

    async def ask(
        self, tenant: TenantId, text: str, *, language: str, audience: Audience = "public", limit: int = 5
    ) -> Found: ...


class Rendered(Protocol):
    @property
    def text(self) -> str: ...

    @property
    def digest(self) -> str: ...


class Renders(Protocol):
    async def render(
        self, tenant: TenantId, prompt_id: str, language: Language, /, **values: Any
    ) -> Rendered: ...


@dataclass(frozen=True, slots=True)
class Services:
    understander: Understands
    knowledge: Knows
    library: Renders
    tools: Mapping[str, Tool]
    orders: OrderSystem
    words: Words
    writing: Writing
    clock: Clock
    rules: Rules = field(default_factory=Rules)
    model: LanguageModel | None = None
    stream: Stream | None = None
    sign_in_link: SignInLink | None = None
    proves: Proves | None = None
    """None: nobody can be sent a code."""
    profiles: Profiles | None = None
    """None: nothing is known about customers, and nothing is kept."""
    orders_seen: OrdersSeen | None = None
    own_data: Callable[[TenantId, ConversationId], OwnData] | None = None


@dataclass(frozen=True, slots=True)
class AgentContext:
    services: Services
    tenant: TenantId
    conversation_id: ConversationId
    key: str
    """Place of this turn in its conversation; the thread is `<conversation>|<key>`."""
    message_id: MessageId
    """Under which the reply will be stored."""
    account: str
    """The proven account, or ""."""
    standing: Standing
    """What has been proven, for which purposes."""
    customer: Customer | None = None

    def profile(self, understood: Mapping[str, Any]) -> ProfileView | None:
        """With this very message in it."""
        return None if self.customer is None else self.customer.view(understood)

    async def say(self, reply: str, language: Language, values: Mapping[str, Any]) -> Rendered:
        return await self.services.library.render(self.tenant, f"replies/{reply}", language, **values)

    async def prompt(self, name: str, language: Language, values: Mapping[str, Any]) -> Rendered:
        return await self.services.library.render(self.tenant, f"agent/{name}", language, **values)

    def show(self, index: int, text: str) -> None:
        if self.services.stream is not None:
            self.services.stream(self.conversation_id, self.message_id, index, text)

    def codes(self, language: Language, network: str) -> Codes:
        """Repeats of this turn give the same key, so that an answer is one try."""
        assert self.services.proves is not None
        return Codes(
            self.services.proves,
            self.tenant,
            self.conversation_id,
            language,
            f"{self.conversation_id}/{self.key}",
            network,
        )

    def for_tool(
        self, tool: Tool, language: Language, *, intent: str = "", approved_by: str = ""
    ) -> ToolContext:
        """Repeats of this turn give the same key, so that an effect happens once."""
        orders, seen, own = self.services.orders, self.services.orders_seen, self.services.own_data
        return ToolContext(
            orders=orders if seen is None else WatchedOrders(orders, self.tenant, seen), account=self.account, standing=self.standing,
            does=tool.does, language=language, key=f"{self.conversation_id}/{self.key}/{tool.name}", intent=intent, approved_by=approved_by,
            own=None if own is None else own(self.tenant, self.conversation_id),
        )  # fmt: skip
