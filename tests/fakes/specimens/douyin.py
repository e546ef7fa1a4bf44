"""Douyin for the contract suite. A reply must name the message that it answers: `REPLY_CONTEXT`."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import SecretStr

from channels.adapters.douyin.channel import DouyinChannel
from channels.adapters.douyin.connection import Connection
from channels.adapters.douyin.settings import NAME, DouyinSettings
from channels.contract import Channel, Surroundings, Webhook
from channels.platforms.shelf import Shelf
from service.simulate.chat.douyin import Douyin
from tests.fakes.faulty import FaultyTransport
from tests.fakes.specimens.contract import CUSTOMER
from tests.fakes.specimens.json_channel import JsonSpecimen

REPLY_CONTEXT = {"msg_id": "@msg0", "conversation_id": "@conv0"}


class DouyinSpecimen(JsonSpecimen):
    name = NAME
    send_path = "/im/send/msg/"

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self.settings = DouyinSettings.model_validate(self.account)
        self.platform = Douyin(self.settings, self.options, surroundings.clock, self.shown.append)
        self.platform.write("I begin", CUSTOMER, number="0")
        self.transport = FaultyTransport(self.platform.application())
        self.channel: Channel = self.built(self.settings)

    def built(self, settings: DouyinSettings) -> DouyinChannel:
        shelf = Shelf(NAME, self.surroundings)
        connection = Connection(settings, shelf, self.surroundings.clock, transport=self.transport)
        return DouyinChannel(settings, self.surroundings, connection)

    def text_call(self, text: str, number: int) -> Webhook:
        return self.webhook(self.platform.write(text, CUSTOMER, number=str(number)))

    def unknown_event_call(self) -> Webhook:
        return self.webhook(self.platform.event("im_made_up_tomorrow", {"x": 1}, CUSTOMER))

    def stale_call(self) -> None:
        return None

    def signed_body_call(self, body: bytes) -> Webhook:
        return self.webhook(self.platform.signed(body))

    def tampered(self, call: Webhook) -> Sequence[Webhook]:
        return [*self.with_headers(call, ("x-douyin-signature",)), *self.with_other_body(call)]

    def changing_secret(self) -> tuple[Channel, Channel, Webhook]:
        new = {"client_secret": SecretStr("brand-new-secret")}
        old = {"previous_client_secret": self.settings.client_secret}
        during = self.built(self.settings.model_copy(update={**new, **old}))
        after = self.built(self.settings.model_copy(update=new))
        return during, after, self.text_call("rotated", 7)

    def secrets(self) -> Sequence[str]:
        hidden = ("client_secret", "refresh_token")
        return [CUSTOMER, *(getattr(self.settings, name).get_secret_value() for name in hidden)]
