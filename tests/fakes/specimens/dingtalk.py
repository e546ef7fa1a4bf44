"""The DingTalk robot for the contract suite; the signature covers the time alone, so a changed body is none of its cases."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import SecretStr

from channels.adapters.dingtalk.channel import DingtalkChannel
from channels.adapters.dingtalk.connection import Connection
from channels.adapters.dingtalk.settings import NAME, DingtalkSettings
from channels.contract import Channel, Surroundings, Webhook
from channels.platforms.shelf import Shelf
from service.simulate.chat.dingtalk import Dingtalk
from tests.fakes.faulty import FaultyTransport
from tests.fakes.specimens.contract import CUSTOMER
from tests.fakes.specimens.json_channel import JsonSpecimen


class DingtalkSpecimen(JsonSpecimen):
    name = NAME
    send_path = "/robot/oToMessages/batchSend"

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self.settings = DingtalkSettings.model_validate(self.account)
        self.platform = Dingtalk(self.settings, self.options, surroundings.clock, self.shown.append)
        self.transport = FaultyTransport(self.platform.application())
        self.channel: Channel = self.built(self.settings)

    def built(self, settings: DingtalkSettings) -> DingtalkChannel:
        connection = Connection(settings, Shelf(NAME, self.surroundings), transport=self.transport)
        return DingtalkChannel(settings, self.surroundings, connection)

    def text_call(self, text: str, number: int) -> Webhook:
        return self.webhook(self.platform.write(text, CUSTOMER, number=str(number)))

    def unknown_event_call(self) -> Webhook:
        return self.webhook(self.platform.message("madeUpTomorrow", {"content": {"x": 1}}, CUSTOMER))

    def stale_call(self) -> Webhook:
        return self.webhook(self.platform.write("old", CUSTOMER), hours=2)

    def signed_body_call(self, body: bytes) -> Webhook:
        return self.webhook(self.platform.signed(body))

    def tampered(self, call: Webhook) -> Sequence[Webhook]:
        return self.with_headers(call, ("timestamp", "sign"))

    def changing_secret(self) -> tuple[Channel, Channel, Webhook]:
        new = {"client_secret": SecretStr("brand-new-secret")}
        old = {"previous_client_secret": self.settings.client_secret}
        during = self.built(self.settings.model_copy(update={**new, **old}))
        after = self.built(self.settings.model_copy(update=new))
        return during, after, self.text_call("rotated", 7)

    def secrets(self) -> Sequence[str]:
        return [CUSTOMER, self.settings.client_secret.get_secret_value()]
