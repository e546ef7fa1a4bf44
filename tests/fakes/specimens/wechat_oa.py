"""The Official Account for the contract suite."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from pydantic import SecretStr

from channels.adapters.wechat_oa.channel import WechatOaChannel
from channels.adapters.wechat_oa.connection import Connection
from channels.adapters.wechat_oa.settings import WechatOaSettings
from channels.contract import Channel, Surroundings, Webhook
from channels.families.wechat.codec import render_xml
from service.simulate.wechat.wechat_callback import render_call
from tests.fakes import wechat_platform
from tests.fakes.specimens.contract import (
    ADAPTERS,
    CUSTOMER,
    NOW,
    Fault,
    Recorded,
)
from tests.fakes.wechat_platform import WechatPlatform


@dataclass
class WechatOaSpecimen(Recorded):
    surroundings: Surroundings

    def __post_init__(self) -> None:
        self.folder = ADAPTERS / "wechat_oa"
        account = json.loads((self.folder / "recorded" / "account.json").read_text(encoding="utf-8"))
        self.settings = WechatOaSettings.model_validate({**account, "mode": "compatible"})
        self.platform = WechatPlatform(self.settings, self.surroundings.clock)
        self.platform.api.note_action(CUSTOMER)
        self.channel: Channel = self._channel(self.settings)

    def _channel(self, settings: WechatOaSettings) -> WechatOaChannel:
        connection = Connection(settings, self.surroundings, transport=self.platform)
        return WechatOaChannel(settings, self.surroundings, connection)

    def text_call(self, text: str, number: int) -> Webhook:
        return self._call({"MsgType": "text", "Content": text, "MsgId": str(10**17 + number)})

    def unknown_event_call(self) -> Webhook:
        return self._call({"MsgType": "event", "Event": "made_up_tomorrow", "EventKey": "k"})

    def stale_call(self) -> Webhook:
        return replace(self.text_call("old", 1), received_at=NOW + timedelta(hours=1))

    def signed_body_call(self, body: bytes) -> Webhook:
        call = render_call(self.settings, b"<xml></xml>", mode="plain", at=NOW)
        return Webhook("POST", call.query, {}, body, NOW)

    def tampered(self, call: Webhook) -> Sequence[Webhook]:
        names = ("msg_signature", "timestamp", "nonce")
        without = [replace(call, query={k: v for k, v in call.query.items() if k != name}) for name in names]
        changed = [
            replace(call, query={**call.query, name: value})
            for name in names
            for value in ("", "0", "签名", call.query[name][::-1] + "1")
        ]
        middle = len(call.body) // 2
        other = b"B" if call.body[middle : middle + 1] == b"A" else b"A"
        bent = replace(call, body=call.body[:middle] + other + call.body[middle + 1 :])
        return [*without, *changed, bent, replace(call, query={}), replace(call, body=call.body[:-40])]

    def changing_secret(self) -> tuple[Channel, Channel, Webhook]:
        new = {"token": SecretStr("brandnewtoken"), "encoding_aes_key": SecretStr("Z" * 43)}
        old = {"previous_token": self.settings.token, "previous_aes_key": self.settings.encoding_aes_key}
        during = self._channel(self.settings.model_copy(update={**new, **old}))
        after = self._channel(self.settings.model_copy(update=new))
        return during, after, self.text_call("rotated", 7)

    def seen(self) -> Sequence[str]:
        return [shown.text for shown in self.platform.seen if shown.kind != "typing"]

    def fail_next_send(self, fault: Fault) -> None:
        planned = wechat_platform.timeout if fault == "timeout" else wechat_platform.status(int(fault))
        self.platform.next_call("/custom/send", planned)

    def secrets(self) -> Sequence[str]:
        hidden = ("app_secret", "token", "encoding_aes_key")
        return [CUSTOMER, *(getattr(self.settings, name).get_secret_value() for name in hidden)]

    def _call(self, fields: dict[str, str]) -> Webhook:
        head = {"ToUserName": self.settings.original_id, "FromUserName": CUSTOMER}
        xml = render_xml({**head, "CreateTime": str(int(NOW.timestamp())), **fields})
        call = render_call(self.settings, xml, mode="secure", at=NOW)
        return Webhook("POST", call.query, {}, call.body, NOW)
