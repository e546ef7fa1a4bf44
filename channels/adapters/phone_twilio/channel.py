"""Twilio's phone numbers as a channel: the gate and the two ways of the codec behind the contract.

`registry.py` lists `SPEC`. Every request is answered with TwiML, for anything else the platform tells the caller that an
error has occurred, and hangs up.
"""

from __future__ import annotations

import httpx
from pydantic import BaseModel

from channels.adapters.phone_twilio import codec
from channels.adapters.phone_twilio.settings import PhoneTwilioSettings
from channels.contract import Acknowledgement, Channel, ChannelSpec, Surroundings, Webhook
from channels.families.speech.telephone import Heard, Phone, Script
from channels.platforms import signatures
from channels.platforms.api import Api
from foundation import errors


class PhoneTwilioChannel(Phone):
    """`settings` are complete: see `PhoneTwilioSettings.or_demo`."""

    name = codec.NAME

    def __init__(
        self,
        settings: PhoneTwilioSettings,
        surroundings: Surroundings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(settings, surroundings)
        self._settings = settings
        self._api = Api(codec.NAME, "Twilio", settings.api_base, transport=transport)

    async def close(self) -> None:
        await self._api.close()

    def verify(self, webhook: Webhook) -> None:
        given = webhook.headers.get("x-twilio-signature", "")
        try:
            form = codec.parse_form(webhook.body) if webhook.method == "POST" else []
        except errors.UnreadablePayload as error:
            raise errors.NotAuthentic("The form cannot be read.", code="bad_signature") from error
        tokens = signatures.secrets_of(self._settings.auth_token, self._settings.previous_auth_token)
        called = codec.addresses(self.hook, webhook.query_string)
        wanted = [codec.signature(token, url, form) for token in tokens for url in called]
        signatures.require(signatures.one_of(given, wanted))

    def hear(self, webhook: Webhook) -> Heard:
        heard = codec.parse_call(webhook.body, webhook.query)
        if heard.scope not in ("", self._settings.account_sid):
            raise errors.UnreadablePayload("The call belongs to another account.", code="other_account")
        return heard

    def render(self, script: Script, heard: Heard) -> Acknowledgement:
        return Acknowledgement(codec.render(script, heard, self._settings, self.hook), media_type="text/xml")

    async def test(self) -> str:
        """Reads the account itself. Raises `UpstreamUnavailable` or `UpstreamRefused`."""
        sid = self._settings.account_sid
        secret = self._settings.auth_token.get_secret_value()
        answer = await self._api.call_json("GET", f"/2010-04-01/Accounts/{sid}.json", auth=(sid, secret))
        return f"Twilio knows this account; its state is {answer.get('status', 'unknown')}."


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without configured credentials the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, PhoneTwilioSettings)
    return PhoneTwilioChannel(settings.or_demo(surroundings.vault), surroundings)


SPEC = ChannelSpec(
    name=codec.NAME,
    settings=PhoneTwilioSettings,
    build=build,
    title={"zh": "电话(Twilio)", "en": "Phone (Twilio)"},
)
