"""A shop's customers before a browser: one who is known on three channels, and records that may be the same person."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

import sqlalchemy as sa
from playwright.async_api import Page, expect

from customers.matching import lifecycle, online
from foundation.messages import ConversationId, Identifier, InboundMessage, MessageId
from tests.browser.console_world import TENANT, World

LIN = {
    "name": "林小雨",
    "phone": "139 5716 2043",
    "email": "xiaoyu.lin@lanyu-post.cn",
    "birthday": "1990-05-17",
    "city": "杭州",
}


@dataclass
class Shop:
    world: World
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    async def states(self, namespace: str, value: str, **facts: str) -> str:
        row = {"identity": {"namespace": namespace, "value": value}, "facts": facts}
        [result] = await self.world.system.customers.collection.add_customers(TENANT, [row], source="crm")
        assert result.status == "accepted"
        return result.identity_id

    async def hears(
        self, channel: str, thread: str, text: str, *names: tuple[str, str, bool], device: bool = False
    ) -> ConversationId:
        """`names`: namespace, value, whether the channel vouches for it; `device` is said of the first."""
        sender = tuple(
            Identifier(namespace=space, value=value, proven=sure, device=device and at == 0)
            for at, (space, value, sure) in enumerate(names)
        )
        message = InboundMessage(
            tenant=TENANT, channel=channel, account="site", thread=thread, message_id=MessageId(f"{thread}-{next(self.numbers)}"),
            sender=sender, text=text, sent_at=self.world.system.clock(),
        )  # fmt: skip
        accepted = await self.world.system.intake.accept(message, text.encode())
        await self.world.settle()
        return accepted.conversation_id

    async def compare(self) -> None:
        await self.world.system.customers.linker.run(TENANT)

    async def trust_the_matcher(self) -> None:
        """The weights that we ship, as if they had been learned from this base: only such a model may link."""
        model, now = replace(online.starting_model(), source="own"), self.world.system.clock()

        def publish(connection: sa.Connection) -> None:
            lifecycle.publish(connection, TENANT, model, actor="test", now=now)

        await self.world.system.database.write(publish)


async def give_reason(page: Page, reason: str) -> None:
    box = page.locator(".q-dialog input[placeholder]").last
    await box.fill(reason)
    await box.press("Enter")
    await expect(page.locator(".q-dialog")).to_have_count(0)
