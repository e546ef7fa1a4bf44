"""One specimen a channel: how the contract suite signs as its platform, breaks its platform, and sees what arrived.

A new channel adds its class and a line in `SPECIMENS`. A channel whose customers come in by routes of its own
(the web chat) keeps the shorter promise of `Specimen`; one with a webhook that of `WebhookSpecimen`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol
from uuid import UUID

from pydantic import SecretStr

from channels.adapters import web_chat
from channels.adapters.web_chat import codec as web_chat_codec
from channels.adapters.wechat_oa.channel import WechatOaChannel
from channels.adapters.wechat_oa.codec import render_xml
from channels.adapters.wechat_oa.connection import Connection
from channels.adapters.wechat_oa.settings import WechatOaSettings
from channels.contract import Channel, Surroundings, Webhook
from foundation.messages import ConversationId, InboundMessage
from service.simulate.wechat_callback import render_call
from tests.fakes import wechat_platform
from tests.fakes.wechat_platform import WechatPlatform

ADAPTERS = Path(__file__).parent.parent.parent / "channels" / "adapters"
CUSTOMER = "oSecretCustomerOfTheTests"
NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)

Fault = Literal["401", "429", "500", "timeout"]


class Specimen(Protocol):
    channel: Channel

    def recordings(self) -> Sequence[Path]: ...

    def read_recording(self, path: Path) -> tuple[Sequence[InboundMessage], dict[str, str]]:
        """As the door reads it, and what the recording says should come out."""
        ...


class WebhookSpecimen(Specimen, Protocol):
    def text_call(self, text: str, number: int) -> Webhook: ...

    def unknown_event_call(self) -> Webhook: ...

    def stale_call(self) -> Webhook: ...

    def signed_body_call(self, body: bytes) -> Webhook:
        """A call whose signature is right and whose content is this."""
        ...

    def tampered(self, call: Webhook) -> Sequence[Webhook]:
        """Each differs in one thing that the signature must cover or be."""
        ...

    def changing_secret(self) -> tuple[Channel, Channel, Webhook]:
        """A channel during the change, one after it, and a call signed with the old secret."""
        ...

    def seen(self) -> Sequence[str]:
        """The texts that reached the customer, in order."""
        ...

    def fail_next_send(self, fault: Fault) -> None: ...

    def secrets(self) -> Sequence[str]:
        """What must never stand in a log."""
        ...


@dataclass
class WechatOaSpecimen:
    surroundings: Surroundings

    def __post_init__(self) -> None:
        self.folder = ADAPTERS / "wechat_oa"
        account = json.loads((self.folder / "recorded" / "account.json").read_text(encoding="utf-8"))
        self.settings = WechatOaSettings.model_validate({**account, "mode": "compatible"})
        self.platform = WechatPlatform(self.settings, self.surroundings.clock)
        self.platform.api.note_action(CUSTOMER)
        self.channel: Channel = self._channel(self.settings)

    def _channel(self, settings: WechatOaSettings) -> WechatOaChannel:
        connection = Connection(settings, self.surroundings.clock, transport=self.platform)
        return WechatOaChannel(settings, self.surroundings, connection)

    def recordings(self) -> Sequence[Path]:
        return _recordings(self.folder)

    def read_recording(self, path: Path) -> tuple[Sequence[InboundMessage], dict[str, str]]:
        stored = json.loads(path.read_text(encoding="utf-8"))
        received_at = datetime.fromtimestamp(stored["received_at"], UTC)
        call = Webhook(stored["method"], stored["query"], {}, stored["body"].encode(), received_at)
        self.channel.verify(call)
        return self.channel.read(call), stored["expect"]

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


@dataclass
class WebChatSpecimen:
    surroundings: Surroundings

    def __post_init__(self) -> None:
        self.folder = ADAPTERS / "web_chat"
        self.channel: Channel = web_chat.SPEC.build(web_chat.SPEC.settings(), self.surroundings)

    def recordings(self) -> Sequence[Path]:
        return _recordings(self.folder)

    def read_recording(self, path: Path) -> tuple[Sequence[InboundMessage], dict[str, str]]:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        frame = web_chat_codec.parse_frame(json.dumps(stored["frame"]))
        if not isinstance(frame, web_chat_codec.Send):
            return [], stored["expect"]
        message = web_chat_codec.to_inbound(
            frame, tenant=self.surroundings.tenant, account="site", visitor=str(UUID(int=1)), shop_account="",
            conversation_id=ConversationId("c1"), attachments=(), now=NOW,
        )  # fmt: skip
        return [message], stored["expect"]


def _recordings(folder: Path) -> Sequence[Path]:
    return [path for path in sorted((folder / "recorded").glob("*.json")) if path.name != "account.json"]


WEBHOOKS: dict[str, Callable[[Surroundings], WebhookSpecimen]] = {"wechat_oa": WechatOaSpecimen}
SPECIMENS: dict[str, Callable[[Surroundings], Specimen]] = {"web_chat": WebChatSpecimen, **WEBHOOKS}
