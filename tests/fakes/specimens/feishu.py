"""Feishu for the contract suite."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import SecretStr

from channels.adapters.feishu.channel import FeishuChannel
from channels.adapters.feishu.connection import Connection
from channels.adapters.feishu.settings import NAME, FeishuSettings
from channels.contract import Channel, Surroundings, Webhook
from channels.platforms.shelf import Shelf
from service.simulate.chat.feishu import Feishu
from tests.fakes.faulty import FaultyTransport
from tests.fakes.specimens.contract import CUSTOMER
from tests.fakes.specimens.json_channel import JsonSpecimen


class FeishuSpecimen(JsonSpecimen):
    name = NAME
    send_path = "/im/v1/messages"

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self.settings = FeishuSettings.model_validate(self.account)
        self.platform = Feishu(self.settings, self.options, surroundings.clock, self.shown.append)
        self.transport = FaultyTransport(self.platform.application())
        self.channel: Channel = self.built(self.settings)

    def built(self, settings: FeishuSettings) -> FeishuChannel:
        connection = Connection(settings, Shelf(NAME, self.surroundings), transport=self.transport)
        return FeishuChannel(settings, self.surroundings, connection)

    def text_call(self, text: str, number: int) -> Webhook:
        return self.webhook(self.platform.write(text, CUSTOMER, number=str(number)))

    def unknown_event_call(self) -> Webhook:
        event = {"operator_id": {"open_id": CUSTOMER}, "anything": 1}
        return self.webhook(self.platform.event("im.made_up.tomorrow_v9", event))

    def stale_call(self) -> Webhook:
        return self.webhook(self.platform.write("old", CUSTOMER), hours=9)

    def signed_body_call(self, body: bytes) -> Webhook:
        return self.webhook(self.platform.signed(body))

    def tampered(self, call: Webhook) -> Sequence[Webhook]:
        names = ("x-lark-signature", "x-lark-request-timestamp", "x-lark-request-nonce")
        return [*self.with_headers(call, names), *self.with_other_body(call)]

    def changing_secret(self) -> tuple[Channel, Channel, Webhook]:
        new = {"encrypt_key": SecretStr("brand-new-key")}
        old = {"previous_encrypt_key": self.settings.encrypt_key}
        during = self.built(self.settings.model_copy(update={**new, **old}))
        after = self.built(self.settings.model_copy(update=new))
        return during, after, self.text_call("rotated", 7)

    def secrets(self) -> Sequence[str]:
        hidden = ("app_secret", "verification_token", "encrypt_key")
        return [CUSTOMER, *(getattr(self.settings, name).get_secret_value() for name in hidden)]
