"""The small house around the real app channel: two keys at once, and the shop's push service behind the connection."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

import httpx
from pydantic import SecretStr

from channels.adapters.app.channel import AppChannel
from channels.adapters.app.push import Pusher
from channels.adapters.app.settings import AppSettings
from channels.contract import Channel, Surroundings
from service.simulate.app.phone import Phone
from service.simulate.app.shop import PushService, signers
from tests.fakes.web_chat_house import House

OLD_KEY, NEW_KEY = "the old secret with 32 characters", "the new secret with 32 characters"
PUSH_SECRET = f"whsec_{base64.b64encode(b'the push secret of the tests').decode()}"


def settings_of(**changed: object) -> AppSettings:
    given = {
        "keys": SecretStr(f"k1={OLD_KEY}, k2={NEW_KEY}"),
        "push_url": "https://push.shop.example/hook",
        "push_secret": SecretStr(PUSH_SECRET),
        **changed,
    }
    return AppSettings.model_validate(given)


@dataclass
class AppHouse(House):
    settings: AppSettings = field(default_factory=settings_of)

    def make_channel(self, surroundings: Surroundings) -> Channel:
        self.push = PushService(self.settings, self.clock)
        self.pusher = Pusher(
            self.settings, surroundings, transport=httpx.ASGITransport(self.push.application())
        )
        return AppChannel(self.settings, surroundings, self.pusher, self.timing)

    def phone(self, client: httpx.AsyncClient, user: str = "lin", device: str = "d1") -> Phone:
        """Signs in with the newest key."""
        return Phone(client, signers(self.settings, self.clock)[-1], user, device)

    async def settle(self) -> None:
        """Until nothing waits, runs or is on its way out."""
        while True:
            depth = await self.bus.depth()
            if not (depth.waiting or depth.running or depth.replies_waiting):
                return
            await self.bus.changed(0.05)
