"""A Teams bot for the contract suite. Its keys are the platform's own; its token does not cover the body."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from joserfc import jws
from joserfc.jwk import RSAKey

from channels.adapters.teams import demo
from channels.adapters.teams.channel import TeamsChannel
from channels.adapters.teams.settings import TeamsSettings
from channels.contract import Channel, Surroundings, Webhook
from service.simulate.chat.teams import TeamsPlatform
from service.simulate.contract import Call, Options, Shown
from tests.fakes import faulty
from tests.fakes.specimens.contract import (
    ADAPTERS,
    CUSTOMER,
    NOW,
    Fault,
    Recorded,
)


@dataclass
class TeamsSpecimen(Recorded):
    surroundings: Surroundings

    def __post_init__(self) -> None:
        self.folder = ADAPTERS / "teams"
        recorded = self.folder / "recorded"
        account = json.loads((recorded / "account.json").read_text(encoding="utf-8"))
        self.recorded_keys = account.pop("keys")
        self.settings = TeamsSettings.model_validate(account)
        self.shown: list[Shown] = []
        options = Options(self.surroundings.vault)
        self.platform = TeamsPlatform(self.settings, options, self.surroundings.clock, self.shown.append)
        self.platform.know(CUSTOMER, CUSTOMER)
        self.transport = faulty.FaultyTransport(self.platform.application())
        self.teams = TeamsChannel(self.settings, self.surroundings, transport=self.transport)
        theirs = demo.key_document(self.surroundings.vault)["keys"]
        self.teams.keys.take({"keys": [*theirs, *self.recorded_keys]})
        self.channel: Channel = self.teams

    def text_call(self, text: str, number: int) -> Webhook:
        return self._call({"id": str(1790000000000 + number), "type": "message", "text": text})

    def unknown_event_call(self) -> Webhook:
        return self._call({"type": "madeUpTomorrow"})

    def stale_call(self) -> Webhook:
        body = self.text_call("old", 1).body
        return _webhook(self.platform.signed(body, exp=int(NOW.timestamp()) - 302))

    def signed_body_call(self, body: bytes) -> Webhook:
        return _webhook(self.platform.signed(body))

    def tampered(self, call: Webhook) -> Sequence[Webhook]:
        token = call.headers["authorization"].removeprefix("Bearer ")
        head, payload, signature = token.split(".")
        middle = len(signature) // 2
        other = "B" if signature[middle] == "A" else "A"
        none = _encoded({"alg": "none", "kid": demo.KEY_ID})
        claims = base64.urlsafe_b64decode(payload + "==")
        stranger = RSAKey.generate_key(2048)
        signing_input = f"{_encoded({'alg': 'HS256', 'kid': demo.KEY_ID})}.{payload}"
        public = demo.signing_key(self.surroundings.vault).as_pem(private=False)
        confused = (
            base64.urlsafe_b64encode(hmac.digest(public, signing_input.encode(), "sha256"))
            .decode()
            .rstrip("=")
        )
        forged = [
            f"{signing_input}.{confused}",
            jws.serialize_compact({"alg": "RS256", "kid": demo.KEY_ID}, claims, stranger),
            f"{head}.{payload}.{signature[:middle]}{other}{signature[middle + 1 :]}", f"{head}.{payload}.",
            f"{none}.{payload}.", f"{none}.{payload}.{signature}", token[:-8], f"{head}.{payload}", "", "签名.a.b",
            "..", f"{head}.{payload[:-4]}.{signature}", f"\udcff.{payload}.{signature}",
        ]  # fmt: skip
        changed = [f"Bearer {one}" for one in forged] + ["", "Bearer", f"Basic {token}", token]
        elsewhere = json.loads(call.body) | {"serviceUrl": "https://evil.example/"}
        foreign = json.dumps(elsewhere).encode()
        return [
            *(replace(call, headers={"authorization": value}) for value in changed),
            replace(call, headers={}),
            replace(call, body=foreign),
            replace(call, body=json.dumps(json.loads(call.body) | {"channelId": "directline"}).encode()),
            _webhook(self.platform.signed(foreign, serviceurl="https://evil.example/")),
            _webhook(self.platform.signed(call.body, aud="somebody else")),
            _webhook(self.platform.signed(call.body, iss="https://evil.example")),
            _webhook(self.platform.signed(call.body, head={"kid": "unheard of"})),
        ]

    def changing_secret(self) -> None:
        return None

    def seen(self) -> Sequence[str]:
        return [shown.text for shown in self.shown if shown.kind != "typing"]

    def fail_next_send(self, fault: Fault) -> None:
        """A refused token is renewed once, so it takes two refusals to fail."""
        for _ in range(2 if fault == "401" else 1):
            self.transport.next_call("/activities", faulty.of(fault))

    def secrets(self) -> Sequence[str]:
        return [CUSTOMER, self.settings.app_secret.get_secret_value()]

    def _call(self, content: dict[str, Any]) -> Webhook:
        activity = self.platform.envelope(CUSTOMER, "Li Lei") | content
        return _webhook(self.platform.signed(json.dumps(activity).encode()))


def _encoded(head: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(head).encode()).decode().rstrip("=")


def _webhook(call: Call) -> Webhook:
    return Webhook("POST", call.query, call.headers, call.body, NOW)
