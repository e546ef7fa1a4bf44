"""An Alexa skill as a channel of the house: certificate, signature, freshness and skill are checked, then it is a voice skill.

Amazon refuses skills whose endpoint takes a forged call, and asks for status 400 then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import certifi
from cryptography.hazmat.primitives import hashes
from pydantic import BaseModel

from channels.adapters.alexa import codec
from channels.adapters.alexa.settings import NAME, AlexaSettings, authority_secret
from channels.contract import Channel, ChannelSpec, Surroundings, Webhook
from channels.families.speakers import certificates, linked
from channels.families.speakers.certificates import Certificates, Chain, Fetch
from channels.families.speakers.skills import Skill, Utterance, parse_object
from channels.families.speakers.spoken import Speech
from channels.platforms import signatures
from foundation import errors

SIGNER = "echo-api.amazon.com"
FOLDER = "/echo.api/"
SKILL_EVENT_TOLERANCE_SECONDS = 3600


class Refused(errors.NotAuthentic):
    """Answered with the status that Amazon's certification looks for."""

    status = 400


class AlexaChannel(Skill):
    """`settings` are complete: see `AlexaSettings.or_demo`."""

    name = NAME
    language = "en"

    def __init__(
        self, settings: AlexaSettings, surroundings: Surroundings, roots: Chain, fetch: Fetch | None = None
    ) -> None:
        super().__init__(
            surroundings, deadline_seconds=settings.deadline_seconds, speech_limit=settings.speech_limit
        )
        self._settings = settings
        self._roots = roots
        self._certificates = Certificates(settings.api_base, FOLDER, fetch=fetch)

    async def prepare(self, webhook: Webhook) -> None:
        with _refusing():
            _, address = _signed(webhook)
            await self._certificates.prepare(address, webhook.received_at)

    def verify(self, webhook: Webhook) -> None:
        with _refusing():
            self._admit(webhook)

    def parse(self, webhook: Webhook) -> Utterance:
        return codec.parse(
            webhook.body,
            self._settings,
            webhook.received_at,
            lambda token, now: linked.identifiers(
                token, self._settings.account_linking, self._around.identity_keys, now
            ),
        )

    def render(self, heard: Utterance | None, speech: Speech) -> Mapping[str, Any]:
        return codec.render(heard, speech, self._settings)

    def _admit(self, webhook: Webhook) -> None:
        signature, address = _signed(webhook)
        chain = self._certificates.find(address, webhook.received_at)
        certificates.require_chain(chain, self._roots, SIGNER, webhook.received_at)
        certificates.require_signature(chain[0], signature, webhook.body, hashes.SHA256())
        try:
            call = parse_object(webhook.body)
        except errors.UnreadablePayload as error:
            raise errors.NotAuthentic(
                "The call does not say when it was made.", code="stale_timestamp"
            ) from error
        late = codec.is_skill_event(call)
        tolerance = SKILL_EVENT_TOLERANCE_SECONDS if late else self._settings.timestamp_tolerance_seconds
        moment = codec.signed_at(call)
        signatures.require_fresh(
            moment.timestamp() if moment else "", webhook.received_at, tolerance_seconds=tolerance
        )
        signatures.require(
            codec.application_of(call) == self._settings.skill_id,
            "The call is for another skill.",
            code="other_skill",
        )


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except errors.NotAuthentic as error:
        raise Refused(error.public_text, code=error.code) from error


def _signed(webhook: Webhook) -> tuple[str, str]:
    """The signature, and the address of the certificate chain it is checked by."""
    signature = webhook.headers.get("signature-256", "")
    address = webhook.headers.get("signaturecertchainurl", "")
    signed = webhook.method == "POST" and bool(signature and address)
    signatures.require(signed, "The call is not signed.", code="unsigned")
    return signature, address


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without a skill the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, AlexaSettings)
    complete = settings.or_demo(surroundings.vault)
    return AlexaChannel(complete, surroundings, roots_for(complete, surroundings))


def roots_for(settings: AlexaSettings, surroundings: Surroundings) -> Chain:
    if settings.is_played:
        return [certificates.demo_authority(authority_secret(surroundings.vault))[1]]
    return certificates.load_bundle(Path(certifi.where()).read_bytes())


SPEC = ChannelSpec(
    name=NAME,
    settings=AlexaSettings,
    build=build,
    title={"zh": "亚马逊 Alexa 技能", "en": "Amazon Alexa skill"},
)
