"""Telegram for the contract suite."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import SecretStr

from channels.adapters.telegram.channel import HEADER, TelegramChannel
from channels.adapters.telegram.connection import Connection
from channels.adapters.telegram.settings import TelegramSettings
from channels.contract import Channel, Surroundings, Webhook
from service.simulate.chat.telegram import TelegramPlatform
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


@dataclass
class TelegramSpecimen(Recorded):
    surroundings: Surroundings

    def __post_init__(self) -> None:
        self.folder = ADAPTERS / "telegram"
        account = json.loads((self.folder / "recorded" / "account.json").read_text(encoding="utf-8"))
        self.settings = TelegramSettings.model_validate(account)
        self.shown: list[Shown] = []
        self.platform = TelegramPlatform(
            self.settings, Options(self.surroundings.vault), self.surroundings.clock, self.shown.append
        )
        self.platform.people.wrote("tests", NOW, CUSTOMER)
        self.transport = faulty.FaultyTransport(self.platform.application())
        self.channel: Channel = self._channel(self.settings)

    def _channel(self, settings: TelegramSettings) -> TelegramChannel:
        return TelegramChannel(settings, self.surroundings, Connection(settings, transport=self.transport))

    def text_call(self, text: str, number: int) -> Webhook:
        return self._call("message", number, text=text)

    def unknown_event_call(self) -> Webhook:
        return self._call("made_up_tomorrow", 99, things=[1])

    def stale_call(self) -> None:
        return None

    def signed_body_call(self, body: bytes) -> Webhook:
        return webhook_of(self.platform.signed(body))

    def tampered(self, call: Webhook) -> Sequence[Webhook]:
        """Telegram signs nothing: only the token can be wrong."""
        given = call.headers[HEADER]
        others = {name: value for name, value in call.headers.items() if name != HEADER}
        wrong = (
            "",
            " ",
            given[:-1],
            given + "0",
            given.swapcase(),
            given[::-1],
            "令牌",
            "\udc80",
            f"{given},{given}",
        )
        return [
            replace(call, headers=others),
            *(replace(call, headers={**others, HEADER: value}) for value in wrong),
        ]

    def changing_secret(self) -> tuple[Channel, Channel, Webhook]:
        new = {"secret_token": SecretStr("brand-new-secret")}
        old = {"previous_secret_token": self.settings.secret_token}
        during = self._channel(self.settings.model_copy(update={**new, **old}))
        after = self._channel(self.settings.model_copy(update=new))
        return during, after, self.text_call("rotated", 7)

    def seen(self) -> Sequence[str]:
        return [shown.text for shown in self.shown if shown.kind == "text"]

    def fail_next_send(self, fault: Fault) -> None:
        planned = faulty.timeout if fault == "timeout" else faulty.status(int(fault))
        self.transport.next_call("/sendMessage", planned)

    def secrets(self) -> Sequence[str]:
        hidden = ("bot_token", "secret_token")
        return [CUSTOMER, *(getattr(self.settings, name).get_secret_value() for name in hidden)]

    def _call(self, kind: str, number: int, **content: Any) -> Webhook:
        message = self.platform.message("tests", **content)
        message["message_id"] = number
        message["from"]["id"] = message["chat"]["id"] = CUSTOMER
        return webhook_of(self.platform.update(kind, message))
