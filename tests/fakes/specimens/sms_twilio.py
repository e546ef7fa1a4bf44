"""Twilio SMS for the contract suite."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import SecretStr

from channels.adapters.sms_twilio.channel import SmsTwilioChannel
from channels.adapters.sms_twilio.connection import Connection
from channels.adapters.sms_twilio.settings import NAME, SmsTwilioSettings
from channels.contract import Channel, Surroundings, Webhook
from service.simulate.contract import Options, Shown
from service.simulate.sms.twilio import TwilioPlatform
from tests.fakes.sms_network import Network, as_webhook, bent, with_header
from tests.fakes.specimens.contract import (
    ADAPTERS,
    CUSTOMER,
    NOW,
    Fault,
    Recorded,
)

_PLACE = re.compile(r"\A\(\d+/\d+\) ")


@dataclass
class SmsTwilioSpecimen(Recorded):
    surroundings: Surroundings

    def __post_init__(self) -> None:
        self.folder = ADAPTERS / NAME
        account = json.loads((self.folder / "recorded" / "account.json").read_text(encoding="utf-8"))
        self.settings = SmsTwilioSettings.model_validate(account)
        self.shown: list[Shown] = []
        options = Options(self.surroundings.vault, url=self.surroundings.public_url)
        self.platform = TwilioPlatform(self.settings, options, self.surroundings.clock, self.shown.append)
        self.platform.phones.admit(CUSTOMER)
        self.network = Network(self.platform.application())
        self.channel: Channel = self.channel_with()

    def channel_with(self, **changed: object) -> SmsTwilioChannel:
        settings = self.settings.model_copy(update=changed)
        return SmsTwilioChannel(settings, self.surroundings, Connection(settings, transport=self.network))

    def text_call(self, text: str, number: int) -> Webhook:
        fields = {"From": CUSTOMER, "Body": text, "MessageSid": f"SM{number:032d}", "NumMedia": "0"}
        return as_webhook(self.platform.call(fields), NAME)

    def unknown_event_call(self) -> Webhook:
        return as_webhook(self.platform.call({"From": CUSTOMER, "EventType": "MADE_UP_TOMORROW"}), NAME)

    def stale_call(self) -> None:
        return None

    def signed_body_call(self, body: bytes) -> Webhook:
        return replace(as_webhook(self.platform.signed(b""), NAME), body=body, received_at=NOW)

    def tampered(self, call: Webhook) -> Sequence[Webhook]:
        name = "x-twilio-signature"
        right = call.headers[name]
        wrong = (None, "", "签名", "\udcff", right[:-2], right.swapcase(), right[::-1])
        forged = self.platform.signed(call.body, token="another token").headers[name]
        return [
            *(with_header(call, name, value) for value in (*wrong, forged)),
            bent(call),
            replace(call, body=call.body + b"&More=1"),
            replace(call, query_string="tenant=other"),
        ]

    def changing_secret(self) -> tuple[Channel, Channel, Webhook]:
        new = SecretStr("brandnewtoken")
        during = self.channel_with(auth_token=new, previous_auth_token=self.settings.auth_token)
        return during, self.channel_with(auth_token=new), self.text_call("rotated", 7)

    def seen(self) -> Sequence[str]:
        """Without the place that stands before each part of a long reply."""
        return [_PLACE.sub("", shown.text) for shown in self.shown]

    def fail_next_send(self, fault: Fault) -> None:
        self.network.fail_next(fault)

    def secrets(self) -> Sequence[str]:
        return [CUSTOMER, self.settings.auth_token.get_secret_value()]
