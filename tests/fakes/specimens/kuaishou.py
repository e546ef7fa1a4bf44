"""Kuaishou for the contract suite: it can be read and not answered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import SecretStr

from channels.adapters.kuaishou.channel import KuaishouChannel
from channels.adapters.kuaishou.codec import sign
from channels.adapters.kuaishou.settings import NAME, KuaishouSettings
from channels.contract import Channel, Surroundings, Webhook
from service.simulate.contract import Call
from tests.fakes.specimens.contract import CUSTOMER, NOW
from tests.fakes.specimens.json_channel import JsonSpecimen


class KuaishouSpecimen(JsonSpecimen):
    name = NAME

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self.settings = KuaishouSettings.model_validate(self.account)
        self.channel: Channel = KuaishouChannel(self.settings, surroundings)

    def event_call(self, event: str, data: Mapping[str, Any], number: int = 0) -> Webhook:
        body = {
            "app_id": self.settings.app_id, "event": event, "message_id": f"m-{number}",
            "timestamp": int(NOW.timestamp() * 1000), "data": dict(data),
        }  # fmt: skip
        return self.signed_body_call(json.dumps(body).encode())

    def text_call(self, text: str, number: int) -> Webhook:
        return self.event_call("MESSAGE", {"open_id": CUSTOMER, "text": text}, number)

    def unknown_event_call(self) -> Webhook:
        return self.event_call("MADE_UP_TOMORROW", {"open_id": CUSTOMER})

    def stale_call(self) -> None:
        return None

    def signed_body_call(self, body: bytes) -> Webhook:
        proof = sign(body, self.settings.app_secret.get_secret_value())
        return self.webhook(Call(body, headers={"kwaisign": proof}))

    def tampered(self, call: Webhook) -> Sequence[Webhook]:
        return [*self.with_headers(call, ("kwaisign",)), *self.with_other_body(call)]

    def changing_secret(self) -> tuple[Channel, Channel, Webhook]:
        new = {"app_secret": SecretStr("brand-new-secret")}
        old = {"previous_app_secret": self.settings.app_secret}
        during = KuaishouChannel(self.settings.model_copy(update={**new, **old}), self.surroundings)
        after = KuaishouChannel(self.settings.model_copy(update=new), self.surroundings)
        return during, after, self.text_call("rotated", 7)

    def secrets(self) -> Sequence[str]:
        return [CUSTOMER, self.settings.app_secret.get_secret_value()]
