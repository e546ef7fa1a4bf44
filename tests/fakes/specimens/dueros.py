"""DuerOS for the contract suite: its simulator signs, and its certificate is handed over without a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from channels.adapters.dueros.channel import DuerosChannel
from channels.adapters.dueros.settings import DuerosSettings
from channels.contract import Channel, Surroundings, Webhook
from foundation import errors
from service.simulate.contract import Call, Options
from service.simulate.speakers.dueros import DuerosPlatform
from tests.fakes.specimens.contract import CUSTOMER, NOW
from tests.fakes.specimens.speakers import USER, SpeakerSpecimen, tampered, webhook

HEADERS = ("signature", "signaturecerturl")


class DuerosSpecimen(SpeakerSpecimen):
    name = "dueros"

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self.settings = DuerosSettings.model_validate(self.account)
        self.platform = DuerosPlatform(self.settings, Options(surroundings.vault), lambda: NOW, print)
        self.hears = lambda answer: self.platform.hear(answer, user=USER)
        self.channel: Channel = self.opened(self.settings)

    def opened(self, settings: DuerosSettings) -> DuerosChannel:
        return DuerosChannel(settings, self.surroundings, self.platform.signer.root, self.fetch)

    async def fetch(self, url: str) -> bytes:
        if url == self.platform.certificate_url:
            return self.platform.signer.pem
        raise errors.UpstreamUnavailable("There is nothing.")

    def resigned(self, call: Webhook) -> Webhook:
        return replace(call, headers=dict(self.platform.signed(call.body).headers))

    def text_call(self, text: str, number: int) -> Webhook:
        query = {"type": "TEXT", "original": text}
        request = {"type": "IntentRequest", "requestId": f"t{number}", "query": query, "intents": []}
        return webhook(self.platform.request(USER, request, user_id=CUSTOMER))

    def unknown_event_call(self) -> Webhook:
        return webhook(self.platform.request(USER, {"type": "Made.UpTomorrow"}, user_id=CUSTOMER))

    def stale_call(self) -> Webhook:
        return replace(self.text_call("old", 1), received_at=NOW + timedelta(seconds=181))

    def signed_body_call(self, body: bytes) -> Webhook:
        return webhook(self.platform.signed(body))

    def tampered(self, call: Webhook) -> Sequence[Webhook]:
        forged = self.platform.forge(Call(call.body, headers=call.headers))
        return [*tampered(call, HEADERS), webhook(forged)]

    def changing_secret(self) -> None:
        return None

    def secrets(self) -> Sequence[str]:
        return [CUSTOMER]
