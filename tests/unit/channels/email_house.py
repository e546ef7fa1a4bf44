"""What the tests of e-mail share: mails built by hand, a mailbox for the codec, a door that keeps what it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from channels.adapters.email.codec import Mailbox, parse
from channels.adapters.email.threads import Threads
from channels.contract import Accepted, Receipt, Watermark
from foundation.messages import ConversationId, InboundMessage, Observation, TenantId

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
ADDRESS = "care@shop.example"
BOX = Mailbox(
    tenant=TenantId("demo"), account="main", address=ADDRESS, own=frozenset({ADDRESS, "hello@shop.example"}),
    authserv_id="mx.shop.example", threads=Threads("key of the tests", "main", ADDRESS),
)  # fmt: skip
VOUCHED = "mx.shop.example; dmarc=pass header.from=example.org"


def mail(text: str = "还没收到货", **headers: str) -> bytes:
    """A plain mail; `headers` with _ for -, "" removes one."""
    given = {
        "From": "=?utf-8?B?5p2O6Zu3?= <Li@Example.org>", "To": ADDRESS, "Subject": "订单", "Message-ID": "<a1@example.org>",
        "Date": "Wed, 25 Nov 2026 17:00:00 +0800", "Content-Type": "text/plain; charset=utf-8",
    }  # fmt: skip
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in given.items() if value]
    return ("\r\n".join(lines) + "\r\n\r\n" + text.replace("\n", "\r\n")).encode()


def read(raw: bytes, box: Mailbox = BOX) -> InboundMessage:
    message = parse(raw, box, received_at=NOW, stands_at="7:3")
    assert message is not None
    return message


@dataclass
class KeepingDoor:
    """Knows a message by its id, as the real one does; `refusals` are raised first."""

    taken: list[InboundMessage] = field(default_factory=list)
    reports: list[Receipt | Watermark] = field(default_factory=list)
    offered: int = 0
    refusals: list[Exception] = field(default_factory=list)

    async def accept(self, message: InboundMessage, raw: bytes) -> Accepted:
        self.offered += 1
        if self.refusals:
            raise self.refusals.pop(0)
        assert raw
        new = message.message_id not in {one.message_id for one in self.taken}
        if new:
            self.taken.append(message)
        return Accepted(self.conversation_id(message), len(self.taken), new=new)

    def conversation_id(self, message: InboundMessage) -> ConversationId:
        return ConversationId(message.thread)

    async def prove(self, message: InboundMessage, *, account: str, valid_seconds: int) -> None:
        raise AssertionError(account, valid_seconds, message.kind)

    async def observe(
        self, tenant: TenantId, conversation_id: ConversationId, observations: Sequence[Observation]
    ) -> None:
        raise AssertionError(tenant, conversation_id, observations)

    async def report(self, tenant: TenantId, channel: str, receipt: Receipt | Watermark) -> None:
        self.reports.append(receipt)
