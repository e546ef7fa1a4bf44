"""Kuaishou's webhook behind the contract. Nothing can be sent: see `SPEC.closed`."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from pydantic import BaseModel
from starlette.routing import BaseRoute

from channels.adapters.kuaishou import codec
from channels.adapters.kuaishou.settings import NAME, KuaishouSettings
from channels.contract import (
    Acknowledgement,
    Capabilities,
    Channel,
    ChannelSpec,
    Door,
    Part,
    Surroundings,
    Webhook,
)
from channels.platforms import signatures
from channels.platforms.payloads import dump
from foundation import errors
from foundation.conversations import Conversation
from foundation.messages import InboundMessage

log = structlog.get_logger(__name__)

CLOSED = "Kuaishou's open platform has no public interface to read or write private messages; ask your contact there for one."
CAPABILITIES = Capabilities(text_limit=500, citations="text", acknowledge_unreadable=True)
"""The limit is ours: a reply is never sent. Kuaishou repeats three times what is not acknowledged."""


class KuaishouChannel:
    """`settings` are complete: see `KuaishouSettings.or_demo`."""

    name = NAME
    capabilities = CAPABILITIES

    def __init__(self, settings: KuaishouSettings, surroundings: Surroundings) -> None:
        self._settings = settings
        self._tenant = surroundings.tenant
        self._account = surroundings.account
        self._secrets = signatures.secrets_of(settings.app_secret, settings.previous_app_secret)

    async def open(self) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing is held."""

    def handshake(self, webhook: Webhook) -> Acknowledgement | None:
        """The test event of the platform is an ordinary call that names nobody."""
        return None

    def verify(self, webhook: Webhook) -> None:
        """No time is signed; a repeated call is found by its id."""
        wanted = [codec.sign(webhook.body, secret) for secret in self._secrets]
        signatures.require(signatures.one_of(webhook.headers.get("kwaisign", ""), wanted))

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        place = codec.Place(self._tenant, self._account, self._settings, webhook.received_at)
        return codec.parse_call(webhook.body, place)

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        body = dump({"result": 1, "message_id": codec.repeated_id(webhook.body)})
        return Acknowledgement(body.encode(), media_type="application/json")

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        raise errors.UpstreamRefused(CLOSED, code="kuaishou_not_available")

    async def show_typing(self, conversation: Conversation) -> None:
        """Nothing can be shown."""

    def routes(self, door: Door) -> Sequence[BaseRoute]:
        return ()


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    assert isinstance(settings, KuaishouSettings)
    log.warning("kuaishou can receive and not answer", reason=CLOSED)
    return KuaishouChannel(settings.or_demo(surroundings.vault), surroundings)


SPEC = ChannelSpec(
    name=NAME, settings=KuaishouSettings, build=build, title={"zh": "快手", "en": "Kuaishou"}, closed=CLOSED
)
