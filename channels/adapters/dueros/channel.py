"""A DuerOS skill as a channel of the house: certificate, signature, freshness and skill are checked, then it is a voice skill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from pydantic import BaseModel

from channels.adapters.dueros import codec
from channels.adapters.dueros.settings import ANY, NAME, DuerosSettings, authority_secret
from channels.contract import Acknowledgement, Channel, ChannelSpec, Surroundings, Webhook
from channels.families.speakers import certificates, linked
from channels.families.speakers.certificates import Certificates, Fetch
from channels.families.speakers.skills import Skill, Utterance, parse_object
from channels.families.speakers.spoken import Speech
from channels.platforms import signatures
from foundation import errors

FOLDER = "/saiya/flow/"


class DuerosChannel(Skill):
    """`settings` are complete: see `DuerosSettings.or_demo`. `issuer`: who must have signed the certificate; None for
    Baidu's, which comes alone and is trusted for lying in Baidu's place, fetched over TLS."""

    name = NAME

    def __init__(
        self, settings: DuerosSettings, surroundings: Surroundings, issuer: x509.Certificate | None = None,
        fetch: Fetch | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            surroundings, deadline_seconds=settings.deadline_seconds, speech_limit=settings.speech_limit
        )
        self._settings = settings
        self._issuer = issuer
        self._certificates = Certificates(settings.api_base, FOLDER, fetch=fetch)

    def handshake(self, webhook: Webhook) -> Acknowledgement | None:
        """Baidu looks whether the address is there, unsigned; nothing is learned from the answer."""
        return Acknowledgement(status=204) if webhook.method == "HEAD" else None

    async def prepare(self, webhook: Webhook) -> None:
        _, address = _signed(webhook)
        await self._certificates.prepare(address, webhook.received_at)

    def verify(self, webhook: Webhook) -> None:
        signature, address = _signed(webhook)
        leaf = self._certificates.find(address, webhook.received_at)[0]
        self._require_trusted(leaf, webhook)
        certificates.require_signature(leaf, signature, webhook.body, hashes.SHA1())  # noqa: S303  # Baidu's choice
        try:
            call = parse_object(webhook.body)
        except errors.UnreadablePayload as error:
            raise errors.NotAuthentic(
                "The call does not say when it was made.", code="stale_timestamp"
            ) from error
        tolerance = self._settings.timestamp_tolerance_seconds
        signatures.require_fresh(codec.signed_at(call), webhook.received_at, tolerance_seconds=tolerance)
        ours = codec.application_of(call) == self._settings.bot_id
        signatures.require(ours, "The call is for another skill.", code="other_skill")

    def parse(self, webhook: Webhook) -> Utterance:
        return codec.parse(
            webhook.body,
            webhook.received_at,
            lambda token, now: linked.identifiers(
                token, self._settings.account_linking, self._around.identity_keys, now
            ),
        )

    def render(self, heard: Utterance | None, speech: Speech) -> Mapping[str, Any]:
        return codec.render(heard, speech)

    def _require_trusted(self, leaf: x509.Certificate, webhook: Webhook) -> None:
        valid = leaf.not_valid_before_utc <= webhook.received_at <= leaf.not_valid_after_utc
        wanted = self._settings.certificate_name
        named = wanted == ANY or certificates.covers(leaf, wanted)
        try:
            if self._issuer is not None:
                leaf.verify_directly_issued_by(self._issuer)
        except (InvalidSignature, ValueError, TypeError):
            valid = False
        signatures.require(valid and named, "The certificate is not trusted.", code="certificate_untrusted")


def _signed(webhook: Webhook) -> tuple[str, str]:
    """The signature, and the address of the certificate it is checked by."""
    signature, address = webhook.headers.get("signature", ""), webhook.headers.get("signaturecerturl", "")
    signed = webhook.method == "POST" and bool(signature and address)
    signatures.require(signed, "The call is not signed.", code="unsigned")
    return signature, address


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without a skill the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, DuerosSettings)
    complete = settings.or_demo(surroundings.vault)
    played = (
        certificates.demo_authority(authority_secret(surroundings.vault))[1] if complete.is_played else None
    )
    return DuerosChannel(complete, surroundings, played)


SPEC = ChannelSpec(
    name=NAME,
    settings=DuerosSettings,
    build=build,
    title={"zh": "小度技能（DuerOS）", "en": "DuerOS skill (Baidu Xiaodu)"},
)
