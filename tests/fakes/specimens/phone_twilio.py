"""Twilio's phone line for the contract suite."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode
from xml.etree.ElementTree import fromstring

from pydantic import SecretStr

from channels.adapters.phone_twilio.channel import PhoneTwilioChannel
from channels.adapters.phone_twilio.settings import PhoneTwilioSettings
from channels.contract import Channel, Surroundings, Webhook
from service.simulate.contract import Options
from service.simulate.phone.calling import Caller
from service.simulate.phone.phone_twilio import TwilioVoice
from tests.fakes.specimens.calls import spoiled, webhook_of
from tests.fakes.specimens.contract import ADAPTERS, CUSTOMER, Recorded

HEADER = "x-twilio-signature"


@dataclass
class PhoneTwilioSpecimen(Recorded):
    surroundings: Surroundings

    def __post_init__(self) -> None:
        self.folder = ADAPTERS / "phone_twilio"
        account = json.loads((self.folder / "recorded" / "account.json").read_text(encoding="utf-8"))
        self.settings = PhoneTwilioSettings.model_validate(account)
        self.platform = self._platform(self.settings)
        self.channel: Channel = PhoneTwilioChannel(self.settings, self.surroundings)
        self.caller = Caller(CUSTOMER, "+8613800138000")

    def _platform(self, settings: PhoneTwilioSettings) -> TwilioVoice:
        options = Options(self.surroundings.vault, url=self.surroundings.public_url)
        return TwilioVoice(settings, options, self.surroundings.clock, lambda shown: None)

    def text_call(self, text: str, number: int) -> Webhook:
        where = {"step": "turn", "lang": "zh", "turn": str(number)}
        return webhook_of(self.platform.speaks(self.caller, text, where))

    def unknown_event_call(self) -> Webhook:
        return webhook_of(
            self.platform.request(
                self.caller, {"CallStatus": "made-up-tomorrow"}, {"step": "turn", "lang": "zh"}
            )
        )

    def stale_call(self) -> None:
        return None

    def signed_body_call(self, body: bytes) -> Webhook:
        return webhook_of(self.platform.signed(body, {}))

    def tampered(self, call: Webhook) -> Sequence[Webhook]:
        given = call.headers[HEADER]
        changed = [replace(call, headers={HEADER: value}) for value in spoiled(given).values()]
        query = {**call.query, "turn": "77"}
        other = self._platform(self.settings.model_copy(update={"auth_token": SecretStr("another")}))
        return [
            *changed,
            replace(call, headers={}),
            replace(call, body=call.body + b"&Digits=0"),
            replace(call, body=call.body.replace(b"CallSid", b"CallSit")),
            replace(call, query=query, query_string=urlencode(query)),
            webhook_of(other.signed(call.body, call.query)),
        ]

    def changing_secret(self) -> tuple[Channel, Channel, Webhook]:
        new = {"auth_token": SecretStr("brand-new-token")}
        old = {"previous_auth_token": self.settings.auth_token}
        during = PhoneTwilioChannel(self.settings.model_copy(update={**new, **old}), self.surroundings)
        after = PhoneTwilioChannel(self.settings.model_copy(update=new), self.surroundings)
        return during, after, self.text_call("rotated", 7)

    def secrets(self) -> Sequence[str]:
        return [CUSTOMER, self.settings.auth_token.get_secret_value()]

    def heard(self, body: bytes) -> str:
        return "".join(say.text or "" for say in fromstring(body).iter("Say"))
