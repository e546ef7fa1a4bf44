"""WhatsApp for the contract suite."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import SecretStr

from channels.adapters.whatsapp.channel import WhatsappChannel
from channels.adapters.whatsapp.connection import Connection
from channels.adapters.whatsapp.settings import WhatsappSettings
from channels.contract import Channel, Surroundings, Webhook
from channels.families.meta.signature import HEADER, sign
from service.simulate.chat import meta
from service.simulate.chat.whatsapp import WhatsappPlatform
from service.simulate.contract import Call, Options, Shown
from tests.fakes import faulty
from tests.fakes.specimens.contract import (
    ADAPTERS,
    CUSTOMER,
    NOW,
    Fault,
    Recorded,
)


def webhook_of(call: Call) -> Webhook:
    return Webhook("POST", call.query, call.headers, call.body, NOW)


def tampered_signatures(call: Webhook) -> Sequence[Webhook]:
    """Of a platform that signs as Meta does."""
    given = call.headers[HEADER]
    others = {name: value for name, value in call.headers.items() if name != HEADER}
    wrong = ("", "sha256=", "签名", given[:-1], given.upper(), given.removeprefix("sha256="), given + "0",
             sign("another", call.body), "sha1=" + "0" * 40)  # fmt: skip
    middle = len(call.body) // 2
    bent = call.body[:middle] + bytes([call.body[middle] ^ 1]) + call.body[middle + 1 :]
    return [
        replace(call, headers=others),
        replace(call, headers={**others, "x-hub-signature": given}),
        *(replace(call, headers={**others, HEADER: value}) for value in wrong),
        replace(call, body=bent),
        replace(call, body=call.body + b" "),
        replace(call, body=b""),
    ]


@dataclass
class WhatsappSpecimen(Recorded):
    surroundings: Surroundings

    def __post_init__(self) -> None:
        self.folder = ADAPTERS / "whatsapp"
        account = json.loads((self.folder / "recorded" / "account.json").read_text(encoding="utf-8"))
        self.settings = WhatsappSettings.model_validate(account)
        self.shown: list[Shown] = []
        self.platform = WhatsappPlatform(
            self.settings, Options(self.surroundings.vault), self.surroundings.clock, self.shown.append
        )
        self.platform.people.wrote("tests", NOW, CUSTOMER)
        self.transport = faulty.FaultyTransport(self.platform.application())
        self.channel: Channel = self.channel_with(self.settings)

    def channel_with(self, settings: WhatsappSettings) -> WhatsappChannel:
        return WhatsappChannel(settings, self.surroundings, Connection(settings, transport=self.transport))

    def text_call(self, text: str, number: int) -> Webhook:
        return self._call({"type": "text", "text": {"body": text}}, number)

    def unknown_event_call(self) -> Webhook:
        return self._call({"type": "made_up_tomorrow", "made_up_tomorrow": {"a": [1]}}, 99)

    def stale_call(self) -> None:
        return None

    def signed_body_call(self, body: bytes) -> Webhook:
        return webhook_of(meta.signed_body(self.settings.app_secret.get_secret_value(), body))

    def tampered(self, call: Webhook) -> Sequence[Webhook]:
        return tampered_signatures(call)

    def changing_secret(self) -> tuple[Channel, Channel, Webhook]:
        new = {"app_secret": SecretStr("brand-new-secret")}
        old = {"previous_app_secret": self.settings.app_secret}
        during = self.channel_with(self.settings.model_copy(update={**new, **old}))
        after = self.channel_with(self.settings.model_copy(update=new))
        return during, after, self.text_call("rotated", 7)

    def seen(self) -> Sequence[str]:
        return [shown.text for shown in self.shown if shown.kind == "text"]

    def fail_next_send(self, fault: Fault) -> None:
        planned = faulty.timeout if fault == "timeout" else faulty.status(int(fault))
        self.transport.next_call("/messages", planned)

    def secrets(self) -> Sequence[str]:
        hidden = ("app_secret", "access_token", "verify_token")
        return [CUSTOMER, *(getattr(self.settings, name).get_secret_value() for name in hidden)]

    def _call(self, content: dict[str, Any], number: int) -> Webhook:
        value = self.platform.message("tests", content)
        value["messages"][0] |= {"id": f"wamid.T{number}", "from": CUSTOMER, "from_user_id": ""}
        value["contacts"] = []
        return webhook_of(self.platform.call(value))
