"""Tencent SMS for the contract suite: an account whose template takes long texts, as many messages as a reply needs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import SecretStr

from channels.adapters.sms_tencent.channel import SmsTencentChannel
from channels.adapters.sms_tencent.connection import Connection
from channels.adapters.sms_tencent.settings import NAME, SmsTencentSettings
from channels.contract import Channel, Surroundings, Webhook
from service.simulate.contract import Options, Shown
from service.simulate.sms.tencent import TencentPlatform
from tests.fakes.sms_network import Network, as_webhook, wrong_paths
from tests.fakes.specimens.contract import (
    ADAPTERS,
    CUSTOMER,
    NOW,
    Fault,
    Recorded,
)

PHONE = "13800138000"


@dataclass
class SmsTencentSpecimen(Recorded):
    surroundings: Surroundings

    def __post_init__(self) -> None:
        self.folder = ADAPTERS / NAME
        account = json.loads((self.folder / "recorded" / "account.json").read_text(encoding="utf-8"))
        self.settings = SmsTencentSettings.model_validate(account)
        self.shown: list[Shown] = []
        options = Options(self.surroundings.vault)
        clock = self.surroundings.clock
        self.platform = TencentPlatform(self.settings, options, clock, self.shown.append)
        self.platform.phones.admit(CUSTOMER)
        self.network = Network(self.platform.application())
        self.channel: Channel = self.channel_with()

    def channel_with(self, **changed: object) -> SmsTencentChannel:
        settings = self.settings.model_copy(update=changed)
        connection = Connection(settings, self.surroundings.clock, transport=self.network)
        return SmsTencentChannel(settings, self.surroundings, connection)

    def text_call(self, text: str, number: int) -> Webhook:
        moment = int(NOW.timestamp()) + number
        return as_webhook(self.platform.call({"mobile": PHONE, "text": text, "time": moment}), NAME)

    def unknown_event_call(self) -> Webhook:
        return as_webhook(self.platform.call({"mobile": PHONE, "made_up": "tomorrow"}), NAME)

    def stale_call(self) -> None:
        return None

    def signed_body_call(self, body: bytes) -> Webhook:
        return as_webhook(self.platform.post(body), NAME)

    def tampered(self, call: Webhook) -> Sequence[Webhook]:
        return wrong_paths(call)

    def changing_secret(self) -> tuple[Channel, Channel, Webhook]:
        new = SecretStr("brand-new-secret-of-the-path")
        during = self.channel_with(path_secret=new, previous_path_secret=self.settings.path_secret)
        return during, self.channel_with(path_secret=new), self.text_call("rotated", 7)

    def seen(self) -> Sequence[str]:
        return [shown.text for shown in self.shown]

    def fail_next_send(self, fault: Fault) -> None:
        self.network.fail_next(fault)

    def secrets(self) -> Sequence[str]:
        hidden = (self.settings.secret_key, self.settings.path_secret)
        return [CUSTOMER, PHONE, *(one.get_secret_value() for one in hidden)]
