"""XiaoAi for the contract suite: its simulator signs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from pydantic import SecretStr

from channels.adapters.xiaoai.channel import XiaoaiChannel
from channels.adapters.xiaoai.settings import XiaoaiSettings
from channels.contract import Channel, Surroundings, Webhook
from service.simulate.contract import Call, Options
from service.simulate.speakers.xiaoai import XiaoaiPlatform
from tests.fakes.specimens.contract import CUSTOMER, NOW
from tests.fakes.specimens.speakers import USER, SpeakerSpecimen, tampered, webhook

HEADERS = ("authorization", "x-xiaomi-date", "content-type", "content-md5")


class XiaoaiSpecimen(SpeakerSpecimen):
    name = "xiaoai"

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self.settings = XiaoaiSettings.model_validate(self.account)
        options = Options(surroundings.vault, url="https://care.example.com")
        self.platform = XiaoaiPlatform(self.settings, options, lambda: NOW, print)
        self.hears = lambda answer: self.platform.hear(answer, user=USER)
        self.channel: Channel = XiaoaiChannel(self.settings, surroundings)

    def text_call(self, text: str, number: int) -> Webhook:
        return self.call(
            self.platform.request(USER, {"type": 1, "request_id": f"t{number}"}, text, user_id=CUSTOMER)
        )

    def unknown_event_call(self) -> Webhook:
        request = {"type": 1, "event_type": "made.up.tomorrow"}
        return self.call(self.platform.request(USER, request, "", user_id=CUSTOMER))

    def stale_call(self) -> Webhook:
        return replace(self.text_call("old", 1), received_at=NOW + timedelta(seconds=301))

    def signed_body_call(self, body: bytes) -> Webhook:
        return self.call(self.platform.signed(body))

    def tampered(self, call: Webhook) -> Sequence[Webhook]:
        forged = self.call(self.platform.forge(Call(call.body, headers=call.headers)))
        moved = replace(call, query_string="a=b")
        digest = self.platform.signed(b"{}").headers["content-md5"]
        swapped = replace(call, body=b"{}")
        both = replace(call, body=b"{}", headers={**call.headers, "content-md5": digest})
        return [*tampered(call, HEADERS), forged, moved, swapped, both, replace(call, method="GET")]

    def changing_secret(self) -> tuple[Channel, Channel, Webhook]:
        new = {"key_id": "kid-new", "secret": SecretStr("bmV3LXNlY3JldC1vZi10aGUtc2tpbGwtMzItYnl0ZXM=")}
        old = {"previous_key_id": self.settings.key_id, "previous_secret": self.settings.secret}
        during = XiaoaiChannel(self.settings.model_copy(update={**new, **old}), self.surroundings)
        after = XiaoaiChannel(self.settings.model_copy(update=new), self.surroundings)
        return during, after, self.text_call("rotated", 7)

    def secrets(self) -> Sequence[str]:
        return [CUSTOMER, self.settings.secret.get_secret_value()]

    def call(self, call: Call) -> Webhook:
        return webhook(call, path=self.platform.path)
