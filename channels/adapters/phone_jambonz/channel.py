"""A jambonz application as a channel: its signature, and the two ways of the codec behind the contract.

`registry.py` lists `SPEC`. The same address takes the application's call hook and, with `?step=status`, its status hook.
"""

from __future__ import annotations

from pydantic import BaseModel

from channels.adapters.phone_jambonz import codec
from channels.adapters.phone_jambonz.settings import PhoneJambonzSettings
from channels.contract import Acknowledgement, Channel, ChannelSpec, Surroundings, Webhook
from channels.families.speech.telephone import Heard, Phone, Script
from channels.platforms import signatures
from foundation import errors

UNSEALED = ("", "start", "status")
"""Steps that are not ours to give: they stand in the addresses that people enter."""


class PhoneJambonzChannel(Phone):
    """`settings` are complete: see `PhoneJambonzSettings.or_demo`."""

    name = codec.NAME

    def __init__(self, settings: PhoneJambonzSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        self._settings = settings
        self._secrets = signatures.secrets_of(settings.webhook_secret, settings.previous_webhook_secret)

    def verify(self, webhook: Webhook) -> None:
        time, given = codec.parse_signature(webhook.headers.get("jambonz-signature", ""))
        wanted = [codec.signature(secret, time, webhook.body) for secret in self._secrets]
        # A list, so that each is compared.
        signatures.require(any([signatures.one_of(one, wanted) for one in given[:5]]))
        signatures.require_fresh(
            time, webhook.received_at, tolerance_seconds=self._settings.timestamp_tolerance_seconds
        )
        if webhook.query.get("step", "") not in UNSEALED:
            self._require_seal(webhook)

    def hear(self, webhook: Webhook) -> Heard:
        heard = codec.parse_call(webhook.body, webhook.query)
        if self._settings.account_sid not in ("", heard.scope):
            raise errors.UnreadablePayload("The call belongs to another account.", code="other_account")
        return heard

    def render(self, script: Script, heard: Heard) -> Acknowledgement:
        body = codec.render(script, heard.call, self._settings, self.hook)
        return Acknowledgement(body, media_type="application/json")

    def _require_seal(self, webhook: Webhook) -> None:
        try:
            call = codec.parse_call(webhook.body, webhook.query).call
        except errors.UnreadablePayload as error:
            raise errors.NotAuthentic("The call cannot be read.", code="bad_signature") from error
        wanted = [codec.seal(secret, call, webhook.query) for secret in self._secrets]
        signatures.require(signatures.one_of(webhook.query.get(codec.SEAL, ""), wanted))


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without a secret the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, PhoneJambonzSettings)
    return PhoneJambonzChannel(settings.or_demo(surroundings.vault), surroundings)


SPEC = ChannelSpec(
    name=codec.NAME,
    settings=PhoneJambonzSettings,
    build=build,
    title={"zh": "电话(jambonz)", "en": "Phone (jambonz)"},
)
