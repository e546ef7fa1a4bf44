"""A FreeSWITCH as a channel: its credentials, and the two ways of the codec behind the contract.

`registry.py` lists `SPEC`. The switch signs nothing: whoever knows user and password may call, so the address belongs into
a private network or behind TLS.
"""

from __future__ import annotations

from pydantic import BaseModel

from channels.adapters.phone_httapi import codec
from channels.adapters.phone_httapi.settings import PhoneHttapiSettings
from channels.contract import Acknowledgement, Channel, ChannelSpec, Surroundings, Webhook
from channels.families.speech.telephone import Heard, Phone, Script
from channels.platforms import signatures


class PhoneHttapiChannel(Phone):
    """`settings` are complete: see `PhoneHttapiSettings.or_demo`."""

    name = codec.NAME

    def __init__(self, settings: PhoneHttapiSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        self._settings = settings
        passwords = signatures.secrets_of(settings.password, settings.previous_password)
        self._wanted = [codec.credentials(settings.user, password) for password in passwords]

    def verify(self, webhook: Webhook) -> None:
        given = webhook.headers.get("authorization", "")
        signatures.require(
            signatures.one_of(given, self._wanted), "User or password are wrong.", code="bad_credentials"
        )

    def hear(self, webhook: Webhook) -> Heard:
        """The module's default method is GET; its fields are then in the address."""
        body = webhook.body if webhook.method == "POST" else webhook.query_string.encode("utf-8", "replace")
        return codec.parse_call(body)

    def render(self, script: Script, heard: Heard) -> Acknowledgement:
        return Acknowledgement(codec.render(script, self._settings), media_type="text/xml")


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without configured credentials the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, PhoneHttapiSettings)
    return PhoneHttapiChannel(settings.or_demo(surroundings.vault), surroundings)


SPEC = ChannelSpec(
    name=codec.NAME,
    settings=PhoneHttapiSettings,
    build=build,
    title={"zh": "电话(FreeSWITCH)", "en": "Phone (FreeSWITCH)"},
)
