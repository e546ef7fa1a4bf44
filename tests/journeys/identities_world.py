"""Customers of a shop as its systems and channels know them, for journeys about who is who."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from customers.matching import lifecycle, online
from foundation import conversations
from foundation.conversations import Conversation
from foundation.messages import ConversationId, Identifier, InboundMessage, MessageId, TenantId
from tests.journeys.conftest import Product

KEY = "a server key of more than thirty-two characters"
TENANT = TenantId("demo")
MEI = {
    "name": "林小雨",
    "phone": "139 5716 2043",
    "email": "xiaoyu.lin@lanyu-post.cn",
    "birthday": "1990-05-17",
    "city": "杭州",
}
WANG = {
    "name": "欧阳建国",
    "phone": "137 6540 2109",
    "email": "ouyang@lanyu-post.cn",
    "birthday": "1975-01-30",
    "city": "成都",
}
CHEN = {
    "name": "陈思远",
    "phone": "136 0917 4482",
    "email": "siyuan.chen@lanyu-post.cn",
    "birthday": "1988-11-02",
    "city": "广州",
}
ZHAO = {
    "name": "赵雅婷",
    "phone": "135 2208 9317",
    "email": "yating@lanyu-post.cn",
    "birthday": "1996-03-21",
    "city": "天津",
}
QIAN = {
    "name": "钱伯韬",
    "phone": "138 4471 6025",
    "email": "botao.qian@lanyu-post.cn",
    "birthday": "1969-08-08",
    "city": "苏州",
}
SUN = {
    "name": "孙若琪",
    "phone": "150 8826 7193",
    "email": "ruoqi@lanyu-post.cn",
    "birthday": "2001-12-12",
    "city": "昆明",
}
"""What the shop knows of its customers."""


@dataclass
class Shop:
    """`server` is the shop's own system, `reads` are the staff's calls."""

    product: Product
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    async def states(self, namespace: str, value: str, **facts: str) -> str:
        """The shop's system of records says this of somebody; the identity that it is about."""
        row = {"identity": {"namespace": namespace, "value": value}, "facts": facts}
        answer = await self.product.client.post(
            "/v1/customers", json={"customers": [row]}, headers={"Authorization": f"Bearer {KEY}"}
        )
        [result] = answer.json()["results"]
        assert result["status"] == "accepted", result
        return str(result["identity_id"])

    async def hears(
        self, channel: str, thread: str, *names: tuple[str, str, bool], text: str = "你好"
    ) -> ConversationId:
        """A message; `names`: namespace, value, whether the channel vouches for it."""
        number = next(self.numbers)
        message = InboundMessage(
            tenant=TENANT, channel=channel, account="site", thread=thread, message_id=MessageId(f"{thread}-{number}"),
            sender=tuple(Identifier(namespace=space, value=value, proven=sure) for space, value, sure in names), text=text,
            sent_at=self.product.system.clock(),
        )  # fmt: skip
        accepted = await self.product.system.intake.accept(message, text.encode())
        await self.product.settle()
        return accepted.conversation_id

    async def compare(self) -> Any:
        return await self.product.system.customers.linker.run(TENANT)

    async def trust_the_matcher(self) -> None:
        """The weights that we ship, as if they had been learned from this base: only such a model may link."""
        model = replace(online.starting_model(), source="own")

        def publish(connection: sa.Connection) -> None:
            lifecycle.publish(connection, TENANT, model, actor="test", now=self.product.system.clock())

        await self.product.system.database.write(publish)

    async def whole(self, name: str) -> Any:
        return await self.get(f"/v1/customers/{name}/identities")

    async def get(self, path: str) -> Any:
        answer = await self.product.call("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, **body: Any) -> Any:
        answer = await self.product.call("POST", path, body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refused(self, path: str, **body: Any) -> tuple[int, str]:
        answer = await self.product.call("POST", path, body)
        problem = answer.json()["error"]
        assert len(problem["message"]) > 10
        return answer.status_code, problem["code"]

    async def access(self) -> dict[str, str]:
        """Of everybody, what decides about disclosure."""
        query = sa.text("SELECT id, access_id FROM identity WHERE tenant = :tenant")
        rows = await self.product.system.database.read(lambda c: c.execute(query, {"tenant": TENANT}).all())
        return {row.id: row.access_id for row in rows}

    async def asked_about(self, *identities: str) -> list[Any]:
        """The open questions in which one of these is a side."""
        pairs = (await self.get("/v1/reviews"))["pairs"]
        return [one for one in pairs if {one["one"], one["other"]} & set(identities)]

    async def task(self, conversation: ConversationId) -> str:
        """The tool of the form that is open there, "" for none."""
        form = (await self._conversation(conversation)).dialogue.get("form")
        return str(form["tool"]) if form else ""

    async def summary(self, conversation: ConversationId) -> str:
        return (await self._conversation(conversation)).handoff_summary or ""

    async def customer(self, conversation: ConversationId) -> str:
        return str((await self._conversation(conversation)).customer_id)

    async def _conversation(self, conversation: ConversationId) -> Conversation:
        return await self.product.system.database.read(lambda c: conversations.get(c, TENANT, conversation))

    async def audited(self) -> list[str]:
        query = sa.text("SELECT action FROM audit_entry WHERE tenant = :tenant ORDER BY number")
        rows = await self.product.system.database.read(lambda c: c.execute(query, {"tenant": TENANT}).all())
        return [row.action for row in rows]
