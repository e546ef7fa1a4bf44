"""People who have proven who they are, their codes, and a browser without a sign-in: for journeys about proof."""

from __future__ import annotations

import re
from typing import Any
from uuid import uuid4

from tests.journeys.channels_world import Person, World

SMS, MAIL = "sms_generic", "email"
ASK = "我的订单到哪了"
CODE = re.compile(r"(?<!\d)(\d{6})(?!\d)")


class Browser:
    """The web chat by REST, without a sign-in."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.session: dict[str, Any] = {}
        self.seen = 0

    async def open(self) -> Browser:
        headers = {"origin": self.world.url}
        answer = await self.world.client.post(
            f"{self.world.url}/v1/widget/sessions", json={"fresh": True}, headers=headers
        )
        assert answer.status_code in (200, 201), answer.text
        self.session = answer.json()
        return self

    async def ask(self, text: str) -> str:
        """What the bot says to it, by itself included."""
        path = f"{self.world.url}/v1/conversations/{self.session['conversation_id']}/messages"
        headers = {"authorization": f"Bearer {self.session['visitor_token']}"}
        sent = await self.world.client.post(
            path, json={"client_msg_id": str(uuid4()), "text": text}, headers=headers
        )
        assert sent.status_code == 201, sent.text
        await self.world.product.settle()
        lines = (await self.world.client.get(path, params={"after_seq": self.seen}, headers=headers)).json()
        self.seen = lines["last_seq"]
        return "\n".join(one["text"] for one in lines["messages"] if one["role"] == "bot")


async def prove_by_link(world: World, channel: str, user: str, account: str = "demo1") -> Person:
    """A customer whose phone or mailbox has been proven before."""
    customer = world.person(channel, user)
    await world.sign_in(await customer.ask(ASK, "token="), account)
    await customer.hears("身份已确认")
    return customer


def number(world: World, user: str) -> str:
    platform: Any = world.platforms[SMS]
    return str(platform.phones.international(user))


async def code_for(world: World, phone: Person) -> str:
    await world.product.settle()
    found = CODE.search(await phone.hears("验证码"))
    assert found is not None, phone.text
    phone.heard.clear()
    return found[1]


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"
