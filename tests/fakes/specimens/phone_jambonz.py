"""A jambonz application for the contract suite."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from pydantic import SecretStr

from channels.adapters.phone_jambonz import codec
from channels.adapters.phone_jambonz.channel import PhoneJambonzChannel
from channels.adapters.phone_jambonz.settings import PhoneJambonzSettings
from channels.contract import Channel, Surroundings, Webhook
from channels.families.speech.telephone import Line
from service.simulate.contract import Options
from service.simulate.phone.calling import Caller
from service.simulate.phone.phone_jambonz import Jambonz
from tests.fakes.specimens.calls import spoiled, webhook_of
from tests.fakes.specimens.contract import ADAPTERS, CUSTOMER, Recorded

HEADER = "jambonz-signature"


@dataclass
class PhoneJambonzSpecimen(Recorded):
    surroundings: Surroundings

    def __post_init__(self) -> None:
        self.folder = ADAPTERS / "phone_jambonz"
        account = json.loads((self.folder / "recorded" / "account.json").read_text(encoding="utf-8"))
        self.settings = PhoneJambonzSettings.model_validate(account)
        self.platform = self._platform(self.settings)
        self.channel: Channel = PhoneJambonzChannel(self.settings, self.surroundings)
        self.caller = Caller(CUSTOMER, "+8613800138000")

    def _platform(self, settings: PhoneJambonzSettings) -> Jambonz:
        options = Options(self.surroundings.vault, url=self.surroundings.public_url)
        return Jambonz(settings, options, self.surroundings.clock, lambda shown: None)

    def text_call(self, text: str, number: int) -> Webhook:
        return webhook_of(self.platform.speaks(self.caller, text, self._where(number)))

    def unknown_event_call(self) -> Webhook:
        made_up = {"call_status": "made-up-tomorrow"}
        return webhook_of(self.platform.request(self.caller, made_up, {"step": "status"}))

    def stale_call(self) -> Webhook:
        call = self.text_call("old", 1)
        return replace(call, received_at=call.received_at + timedelta(hours=1))

    def signed_body_call(self, body: bytes) -> Webhook:
        return webhook_of(self.platform.signed(body, {}))

    def tampered(self, call: Webhook) -> Sequence[Webhook]:
        given = call.headers[HEADER]
        time, _, value = given.partition(",v1=")
        headers = [
            *spoiled(given).values(),
            time,
            f"v1={value}",
            *(f"{time},v1={one}" for one in spoiled(value).values()),
        ]
        other = self._platform(self.settings.model_copy(update={"webhook_secret": SecretStr("another")}))
        return [
            *(replace(call, headers={HEADER: header}) for header in headers),
            replace(call, headers={HEADER: f"t={int(time[2:]) + 1},v1={value}"}),
            replace(call, headers={}),
            replace(call, body=call.body.replace(b"call_sid", b"call_sib")),
            replace(call, body=call.body + b" "),
            replace(call, query={**call.query, "turn": "77"}),
            replace(call, query={**call.query, "seal": ""}),
            webhook_of(other.signed(call.body, call.query)),
        ]

    def changing_secret(self) -> tuple[Channel, Channel, Webhook]:
        new = {"webhook_secret": SecretStr("brand-new-secret")}
        old = {"previous_webhook_secret": self.settings.webhook_secret}
        during = PhoneJambonzChannel(self.settings.model_copy(update={**new, **old}), self.surroundings)
        after = PhoneJambonzChannel(self.settings.model_copy(update=new), self.surroundings)
        return during, after, self.text_call("rotated", 7)

    def secrets(self) -> Sequence[str]:
        return [CUSTOMER, self.settings.webhook_secret.get_secret_value()]

    def heard(self, body: bytes) -> str:
        said = [verb.get("say", verb).get("text", "") for verb in json.loads(body)]
        return "".join(said)

    def _where(self, number: int) -> dict[str, str]:
        fields = Line("turn", "zh", turn=number).fields()
        secret = self.settings.webhook_secret.get_secret_value()
        return {**fields, codec.SEAL: codec.seal(secret, self.caller.call, fields)}
