"""A FreeSWITCH for the contract suite."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from xml.etree.ElementTree import fromstring

from pydantic import SecretStr

from channels.adapters.phone_httapi.channel import PhoneHttapiChannel
from channels.adapters.phone_httapi.codec import credentials
from channels.adapters.phone_httapi.settings import PhoneHttapiSettings
from channels.contract import Channel, Surroundings, Webhook
from service.simulate.contract import Options
from service.simulate.phone.calling import Caller
from service.simulate.phone.phone_httapi import BINDING, Httapi
from tests.fakes.specimens.calls import spoiled, webhook_of
from tests.fakes.specimens.contract import ADAPTERS, CUSTOMER, Recorded

HEADER = "authorization"


@dataclass
class PhoneHttapiSpecimen(Recorded):
    surroundings: Surroundings

    def __post_init__(self) -> None:
        self.folder = ADAPTERS / "phone_httapi"
        account = json.loads((self.folder / "recorded" / "account.json").read_text(encoding="utf-8"))
        self.settings = PhoneHttapiSettings.model_validate(account)
        options = Options(self.surroundings.vault, url=self.surroundings.public_url)
        self.platform = Httapi(self.settings, options, self.surroundings.clock, lambda shown: None)
        self.channel: Channel = PhoneHttapiChannel(self.settings, self.surroundings)
        self.caller = Caller(CUSTOMER, "+8613800138000")

    def text_call(self, text: str, number: int) -> Webhook:
        where = {"step": "turn", "lang": "zh", "turn": str(number), BINDING: f"said{number}"}
        return webhook_of(self.platform.speaks(self.caller, text, where))

    def unknown_event_call(self) -> Webhook:
        fields = {"step": "turn", "lang": "zh", "turn": "1", "input_type": "made_up_tomorrow"}
        return webhook_of(self.platform.request(self.caller, fields))

    def stale_call(self) -> None:
        return None

    def signed_body_call(self, body: bytes) -> Webhook:
        return webhook_of(self.platform.signed(body))

    def tampered(self, call: Webhook) -> Sequence[Webhook]:
        """Nothing covers the body; the credentials are all there is."""
        secret = self.settings.password.get_secret_value()
        others = [
            *spoiled(call.headers[HEADER]).values(), "Basic", f"Bearer {secret}", secret,
            credentials(self.settings.user, "another"), credentials("another", secret), credentials(self.settings.user, ""),
        ]  # fmt: skip
        return [replace(call, headers={}), *(replace(call, headers={HEADER: other}) for other in others)]

    def changing_secret(self) -> tuple[Channel, Channel, Webhook]:
        new = {"password": SecretStr("brand-new-password")}
        old = {"previous_password": self.settings.password}
        during = PhoneHttapiChannel(self.settings.model_copy(update={**new, **old}), self.surroundings)
        after = PhoneHttapiChannel(self.settings.model_copy(update=new), self.surroundings)
        return during, after, self.text_call("rotated", 7)

    def secrets(self) -> Sequence[str]:
        return [CUSTOMER, self.settings.password.get_secret_value()]

    def heard(self, body: bytes) -> str:
        return "".join(speak.get("text", "") for speak in fromstring(body).iter("speak"))
