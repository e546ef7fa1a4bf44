"""Any SMS gateway for the contract suite."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from pydantic import SecretStr

from channels.adapters.sms_generic.channel import SmsGenericChannel
from channels.adapters.sms_generic.connection import Connection
from channels.adapters.sms_generic.settings import NAME, SmsGenericSettings
from channels.contract import Channel, Surroundings, Webhook
from service.simulate.contract import Options, Shown
from service.simulate.sms.generic import OTHER_SECRET, GatewayPlatform
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
class SmsGenericSpecimen(Recorded):
    surroundings: Surroundings

    def __post_init__(self) -> None:
        self.folder = ADAPTERS / NAME
        account = json.loads((self.folder / "recorded" / "account.json").read_text(encoding="utf-8"))
        self.settings = SmsGenericSettings.model_validate(account)
        self.shown: list[Shown] = []
        options = Options(self.surroundings.vault)
        clock = self.surroundings.clock
        self.platform = GatewayPlatform(self.settings, options, clock, self.shown.append)
        self.platform.phones.admit(CUSTOMER)
        self.network = Network(self.platform.application())
        self.channel: Channel = self.channel_with()

    def channel_with(self, **changed: object) -> SmsGenericChannel:
        settings = self.settings.model_copy(update=changed)
        return SmsGenericChannel(settings, self.surroundings, Connection(settings, transport=self.network))

    def text_call(self, text: str, number: int) -> Webhook:
        return as_webhook(self.platform.call({"id": f"m-{number}", "from": CUSTOMER, "text": text}), NAME)

    def unknown_event_call(self) -> Webhook:
        return as_webhook(self.platform.call({"from": CUSTOMER, "type": "made_up_tomorrow"}), NAME)

    def stale_call(self) -> Webhook:
        return replace(self.text_call("old", 1), received_at=NOW + timedelta(hours=1))

    def signed_body_call(self, body: bytes) -> Webhook:
        return as_webhook(self.platform.signed(body), NAME)

    def tampered(self, call: Webhook) -> Sequence[Webhook]:
        right = call.headers["webhook-signature"]
        forged = self.platform.signed(call.body, secret=OTHER_SECRET, identity=call.headers["webhook-id"])
        wrong = (None, "", "v1,签名", "\udcff", right[:-2], right.swapcase(), f"v2{right[2:]}", right[3:])
        return [
            *(with_header(call, "webhook-signature", value) for value in wrong),
            as_webhook(forged, NAME),
            bent(call),
            with_header(call, "webhook-id", "another"),
            with_header(call, "webhook-id", None),
            with_header(call, "webhook-timestamp", str(int(NOW.timestamp()) + 1)),
            with_header(call, "webhook-timestamp", "nan"),
            with_header(call, "webhook-timestamp", None),
        ]

    def changing_secret(self) -> tuple[Channel, Channel, Webhook]:
        new = SecretStr("whsec_YnJhbmQgbmV3IHNlY3JldCBvZiB0aGUgZ2F0ZXdheQ==")
        during = self.channel_with(secret=new, previous_secret=self.settings.secret)
        return during, self.channel_with(secret=new), self.text_call("rotated", 7)

    def seen(self) -> Sequence[str]:
        """Without the place that stands before each part of a long reply."""
        return [_PLACE.sub("", shown.text) for shown in self.shown]

    def fail_next_send(self, fault: Fault) -> None:
        self.network.fail_next(fault)

    def secrets(self) -> Sequence[str]:
        return [CUSTOMER, self.settings.secret.get_secret_value()]
