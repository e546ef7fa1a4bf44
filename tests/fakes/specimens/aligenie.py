"""AliGenie for the contract suite: nothing is signed, so what is spoilt is the address and the agreed header."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic import SecretStr

from channels.adapters.aligenie.channel import AligenieChannel
from channels.adapters.aligenie.settings import AligenieSettings
from channels.contract import Channel, Surroundings, Webhook
from service.simulate.contract import Call, Options
from service.simulate.speakers.aligenie import AligeniePlatform
from tests.fakes.specimens.contract import CUSTOMER, NOW
from tests.fakes.specimens.speakers import USER, SpeakerSpecimen, webhook


class AligenieSpecimen(SpeakerSpecimen):
    name = "aligenie"

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self.settings = AligenieSettings.model_validate(self.account)
        self.platform = AligeniePlatform(self.settings, Options(surroundings.vault), lambda: NOW, print)
        self.hears = lambda answer: self.platform.hear(answer, user=USER)
        self.channel: Channel = AligenieChannel(self.settings, surroundings)

    def text_call(self, text: str, number: int) -> Webhook:
        said = {"type": "TEXT", "value": text}
        request = {
            "type": "IntentRequest",
            "requestId": f"t{number}",
            "input": said,
            "intent": {"name": "ask"},
        }
        return webhook(self.platform.second(USER, request, user_id=CUSTOMER))

    def unknown_event_call(self) -> Webhook:
        return webhook(self.platform.second(USER, {"type": "Made.UpTomorrow"}, user_id=CUSTOMER))

    def stale_call(self) -> None:
        return None

    def signed_body_call(self, body: bytes) -> Webhook:
        return replace(webhook(self.platform.sent({})), body=body)

    def tampered(self, call: Webhook) -> Sequence[Webhook]:
        secret = call.account
        accounts = ("", "main", "地址\udcff", secret[:-1], secret + "0", secret[::-1], secret.upper())
        headers = ("", "other", "值\udcff", call.headers["x-shop-key"][:-1])
        forged = self.platform.forge(Call(call.body, headers=call.headers))
        return [
            *(replace(call, account=account) for account in accounts),
            *(replace(call, headers={**call.headers, "x-shop-key": value}) for value in headers),
            replace(call, headers={}),
            replace(call, method="GET"),
            webhook(forged),
        ]

    def changing_secret(self) -> tuple[Channel, Channel, Webhook]:
        new = {"path_secret": SecretStr("another-path-secret-0123456789")}
        old = {"previous_path_secret": self.settings.path_secret}
        during = AligenieChannel(self.settings.model_copy(update={**new, **old}), self.surroundings)
        after = AligenieChannel(self.settings.model_copy(update=new), self.surroundings)
        return during, after, self.text_call("rotated", 7)

    def secrets(self) -> Sequence[str]:
        return [
            CUSTOMER,
            self.settings.path_secret.get_secret_value(),
            self.settings.header_value.get_secret_value(),
        ]
