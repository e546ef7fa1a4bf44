"""Weibo for the contract suite; the signature covers time and nonce alone, so a changed body is none of its cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic import SecretStr

from channels.adapters.weibo.channel import WeiboChannel
from channels.adapters.weibo.connection import Connection
from channels.adapters.weibo.settings import NAME, WeiboSettings
from channels.contract import Channel, Surroundings, Webhook
from service.simulate.chat.weibo import Weibo
from tests.fakes.faulty import FaultyTransport
from tests.fakes.specimens.contract import CUSTOMER
from tests.fakes.specimens.json_channel import VALUES, JsonSpecimen


class WeiboSpecimen(JsonSpecimen):
    name = NAME
    send_path = "/2/messages/reply.json"
    tries_with_401 = 1

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self.settings = WeiboSettings.model_validate(self.account)
        self.platform = Weibo(self.settings, self.options, surroundings.clock, self.shown.append)
        self.platform.note_action(CUSTOMER)
        self.transport = FaultyTransport(self.platform.application())
        self.channel: Channel = self.built(self.settings)

    def built(self, settings: WeiboSettings) -> WeiboChannel:
        return WeiboChannel(settings, self.surroundings, Connection(settings, transport=self.transport))

    def text_call(self, text: str, number: int) -> Webhook:
        return self.webhook(self.platform.write(text, CUSTOMER, number=number))

    def unknown_event_call(self) -> Webhook:
        content = {"type": "event", "data": {"subtype": "made_up_tomorrow"}}
        return self.webhook(self.platform.message(content, CUSTOMER))

    def stale_call(self) -> Webhook:
        return self.webhook(self.platform.write("old", CUSTOMER), minutes=10)

    def signed_body_call(self, body: bytes) -> Webhook:
        return self.webhook(self.platform.signed(body))

    def tampered(self, call: Webhook) -> Sequence[Webhook]:
        found = []
        for name in ("signature", "timestamp", "nonce"):
            given = call.query[name]
            without = {key: value for key, value in call.query.items() if key != name}
            found.append(replace(call, query=without))
            found += [
                replace(call, query={**without, name: value})
                for value in (*VALUES, given[:-1], given[::-1] + "1")
            ]
        return found

    def changing_secret(self) -> tuple[Channel, Channel, Webhook]:
        new = {"app_secret": SecretStr("brand-new-secret")}
        old = {"previous_app_secret": self.settings.app_secret}
        during = self.built(self.settings.model_copy(update={**new, **old}))
        after = self.built(self.settings.model_copy(update=new))
        return during, after, self.text_call("rotated", 7)

    def secrets(self) -> Sequence[str]:
        return [
            CUSTOMER,
            self.settings.app_secret.get_secret_value(),
            self.settings.access_token.get_secret_value(),
        ]
