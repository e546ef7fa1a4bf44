"""An AliGenie skill as a channel of the house: known by its address, then it is a voice skill.

The platform signs nothing. Whoever knows the address (and the header, where one is set) is taken for AliGenie; the address
therefore never stands in a log or an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from channels.adapters.aligenie import codec
from channels.adapters.aligenie.settings import NAME, AligenieSettings
from channels.contract import MAIN, Channel, ChannelSpec, Door, Surroundings, Webhook
from channels.families.speakers import linked
from channels.families.speakers.skills import Skill, Utterance
from channels.families.speakers.spoken import Speech
from channels.platforms import signatures

SECRET_PARAMETER = "secret"  # noqa: S105  # a name
"""Where the address of an added account, whose last part is the account's name, carries its secret."""


class AligenieChannel(Skill):
    """`settings` are complete: see `AligenieSettings.or_demo`."""

    name = NAME

    def __init__(self, settings: AligenieSettings, surroundings: Surroundings) -> None:
        super().__init__(
            surroundings, deadline_seconds=settings.deadline_seconds, speech_limit=settings.speech_limit
        )
        self._settings = settings

    @property
    def address(self) -> str:
        return self._around.secret_hook(
            NAME, self._settings.path_secret.get_secret_value(), parameter=SECRET_PARAMETER
        )

    def verify(self, webhook: Webhook) -> None:
        secrets = signatures.secrets_of(self._settings.path_secret, self._settings.previous_path_secret)
        main = self._around.account == MAIN
        given = webhook.account if main else webhook.query.get(SECRET_PARAMETER, "")
        known = signatures.one_of(given, secrets)
        if name := self._settings.header_name.lower():
            wanted = signatures.secrets_of(self._settings.header_value)
            known = signatures.one_of(webhook.headers.get(name, ""), wanted) and known
        right = known and webhook.method == "POST"
        signatures.require(
            right, "The address or its header is not the one that was agreed.", code="wrong_address"
        )

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

    def routes(self, door: Door) -> Sequence[BaseRoute]:
        """The file by which the console sees that the host is ours."""
        if not self._settings.auth_file_name:
            return ()

        async def show(_request: Request) -> Response:
            return PlainTextResponse(self._settings.auth_file_content)

        return [Route(f"/aligenie/{self._settings.auth_file_name}", show)]


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without a secret the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, AligenieSettings)
    return AligenieChannel(settings.or_demo(surroundings.vault), surroundings)


SPEC = ChannelSpec(
    name=NAME,
    settings=AligenieSettings,
    build=build,
    title={"zh": "天猫精灵技能（AliGenie）", "en": "AliGenie skill (Tmall Genie)"},
)
