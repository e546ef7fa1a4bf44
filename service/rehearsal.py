"""A whole system on throwaway storage: the same wiring, the same walk of a message, and nothing real is touched.

`huiliu ask` and the evaluations use it. Knowledge, prompts and settings are those of the installation (a snapshot of
the embedded database, taken while a server may be running); orders are the demo shop's, freshly seeded, unless the
settings name another order system. Vectors come from the installation's cache, so a start costs seconds, not minutes.
"""

from __future__ import annotations

import shlex
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from agent import records
from agent.tools.mcp import McpOrders
from channels import degrade
from foundation import conversations, errors
from foundation.bus.contract import Outgoing
from foundation.language_models.contract import LanguageModel
from foundation.messages import ConversationId, Identifier, InboundMessage, MessageId, TenantId
from foundation.security import random_token
from foundation.settings import Settings
from retrieval.index_memory import MemoryIndex
from service import keys, wiring

SETTLE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Spoken:
    """One turn as `huiliu ask --json` prints it; `parts` are the pieces that the channel would have shown."""

    reply: str
    intent: str | None
    language: str
    emotion: dict[str, Any]
    citations: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    handoff: dict[str, str] | None
    model: str | None
    milliseconds: float
    confidence: float = 0.0
    status: str = ""
    choices: list[dict[str, str]] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)


class Rehearsal:
    def __init__(self, system: wiring.System, orders: Path) -> None:
        self.system = system
        self.orders = orders
        """The demo shop's database file, for checks of the end state."""
        self._parts: list[str] = []

    async def say(
        self, text: str, *, conversation: str, account: str = "", channel: str = "web_chat"
    ) -> Spoken:
        """One message through the ordinary door; returns when everything it caused has happened."""
        system, tenant = self.system, self.system.tenants[0]
        if (tenant, channel) not in system.channels:
            names = ", ".join(sorted(name for owner, name in system.channels if owner == tenant))
            raise errors.InvalidInput(f"There is no open channel {channel!r}; open ones: {names}.")
        message = self._message(tenant, text, conversation=conversation, account=account, channel=channel)
        self._parts.clear()
        accepted = await system.intake.accept(message, text.encode("utf-8", "replace"))
        await self.settle()
        return await self._report(tenant, accepted.conversation_id, accepted.seq)

    async def settle(self) -> None:
        """Until nothing waits, runs or is on its way out."""
        while True:
            depth = await self.system.bus.depth()
            if not (depth.waiting or depth.running or depth.backing_off or depth.replies_waiting):
                return
            await self.system.bus.changed(SETTLE_SECONDS)

    async def deliver(self, outgoing: Outgoing) -> str:
        """In place of sending: keep what the channel would have shown, within its limits."""
        message = outgoing.message
        channel = self.system.channels[message.tenant, message.channel]
        self._parts += [part.text for part in degrade.fit(message, channel.capabilities)]
        await self.system.database.write(
            lambda connection: conversations.mark_state(
                connection, message.tenant, message.conversation_id, message.message_id, state="sent"
            )
        )
        return ""

    def _message(
        self, tenant: TenantId, text: str, *, conversation: str, account: str, channel: str
    ) -> InboundMessage:
        sender = [Identifier(namespace=channel, value=f"rehearsal-{conversation}", proven=True)]
        if account:
            sender.append(Identifier(namespace="account", value=account, proven=True))
        return InboundMessage(
            tenant=tenant, channel=channel, account="rehearsal", thread=conversation,
            message_id=MessageId(random_token(12)), sender=tuple(sender), text=text, sent_at=self.system.clock(),
        )  # fmt: skip

    async def _report(self, tenant: TenantId, conversation_id: ConversationId, seq: int) -> Spoken:
        def read(connection: Any) -> tuple[list[conversations.Message], conversations.Conversation, Any]:
            return (
                conversations.read(connection, tenant, conversation_id, after_seq=seq),
                conversations.get(connection, tenant, conversation_id),
                records.find_turn(connection, tenant, conversation_id, str(seq)),
            )

        messages, conversation, turn = await self.system.database.read(read)
        said = [message for message in messages if message.role == "bot"]
        waiting = conversation.holder == "queue"
        return Spoken(
            reply="\n".join(message.text for message in said),
            intent=turn.intent if turn else None,
            language=turn.language if turn else conversation.language,
            emotion={"label": turn.emotion, "valence": turn.valence}
            if turn
            else {"label": "neutral", "valence": 0.0},
            citations=[citation.model_dump() for message in said for citation in message.citations],
            tools=[{"name": tool["name"], "ok": tool["ok"]} for tool in turn.tools] if turn else [],
            handoff={"reason": conversation.handoff_reason or ""} if waiting else None,
            model=turn.model or None if turn else None,
            milliseconds=round(turn.total_milliseconds, 1) if turn else 0.0,
            confidence=round(turn.confidence, 4) if turn else 0.0,
            status=turn.status if turn else "",
            choices=[choice.model_dump() for message in said for choice in message.choices],
            parts=list(self._parts),
        )


@asynccontextmanager
async def rehearse(
    settings: Settings, *, model: LanguageModel | None = None, articles: Path | None = None
) -> AsyncIterator[Rehearsal]:
    """`articles`: start from this folder in place of the installation's knowledge."""
    with tempfile.TemporaryDirectory(prefix="huiliu-rehearsal-") as name:
        folder = Path(name)
        orders = folder / "orders.db"
        if articles is None:
            snapshot(settings, folder / "huiliu.db")
        changed: dict[str, Any] = {
            "data_dir": folder, "database_url": "", "master_key": SecretStr(keys.master_key(settings).decode()),
            "keys_url": settings.key_store_url, "orders": settings.orders or shlex.join(wiring.demo_orders(orders)),
        }  # fmt: skip
        if articles is not None:
            changed["articles"] = articles
        holder: list[Rehearsal] = []

        async def deliver(outgoing: Outgoing) -> str:
            return await holder[0].deliver(outgoing)

        replacements = wiring.Replacements(
            index=MemoryIndex(),
            deliver=deliver,
            vectors=settings.data_dir / wiring.VECTORS,
            file_questions=True,
        )
        if model is not None:
            replacements["model"] = model
        system = wiring.build(settings.model_copy(update=changed), **replacements)
        holder.append(Rehearsal(system, orders))
        await system.open()
        system.start_work(outward=False)
        try:
            if isinstance(system.orders, McpOrders):  # whoever rehearses looks at the shop from outside, too
                await system.orders.greeted()
            yield holder[0]
        finally:
            await system.close()


def snapshot(settings: Settings, target: Path) -> None:
    """A consistent copy of the embedded database, also while a server writes to it. On Postgres, or before the first
    start, there is nothing to copy and the rehearsal imports the articles itself."""
    source = settings.data_dir / "huiliu.db"
    if settings.database_url or not source.exists():
        return
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as original,
        closing(sqlite3.connect(target)) as copy,
    ):
        original.backup(copy)
