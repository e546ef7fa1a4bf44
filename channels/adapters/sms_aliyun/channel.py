"""Aliyun SMS as a channel of the house: a secret address in, an approved template out.

Aliyun's reports are acknowledged at once. In mainland China nothing but approved templates can be sent, so a reply goes into
the one variable of a template and is cut to it, aloud.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from pydantic import BaseModel
from starlette.routing import BaseRoute

from channels.adapters.sms_aliyun import codec
from channels.adapters.sms_aliyun.connection import Connection
from channels.adapters.sms_aliyun.settings import NAME, SmsAliyunSettings
from channels.contract import (
    Acknowledgement,
    Capabilities,
    Channel,
    ChannelSpec,
    Door,
    Part,
    Reach,
    Receipt,
    Surroundings,
    Webhook,
)
from channels.families import sms
from channels.platforms.signatures import secrets_of
from foundation import errors
from foundation.conversations import Conversation
from foundation.messages import InboundMessage

log = structlog.get_logger(__name__)

_TEMPLATE_STATES = {0: "is being examined", 1: "is approved", 2: "was not approved"}


class SmsAliyunChannel:
    """`settings` are complete: see `SmsAliyunSettings.or_demo`."""

    name = NAME

    def __init__(
        self, settings: SmsAliyunSettings, surroundings: Surroundings, connection: Connection
    ) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._connection = connection
        self._opt_outs = sms.OptOuts(NAME, surroundings)
        self._paths = secrets_of(settings.path_secret, settings.previous_path_secret)
        self.capabilities = Capabilities(
            text_limit=settings.variable_limit, repeats="ask", acknowledge_unreadable=True
        )

    async def open(self) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        await self._connection.close()

    def handshake(self, webhook: Webhook) -> Acknowledgement | None:
        return None

    def verify(self, webhook: Webhook) -> None:
        sms.admit(webhook, self._paths)

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        return codec.parse_messages(
            codec.parse_items(webhook.body), tenant=self._surroundings.tenant, account=self._surroundings.account,
            scope=self._settings.sign_name, keywords=sms.keywords(), received_at=webhook.received_at,
            utc_offset_hours=self._settings.utc_offset_hours,
        )  # fmt: skip

    async def remember(self, messages: Sequence[InboundMessage]) -> None:
        await self._opt_outs.remember(messages)

    def receipts(self, webhook: Webhook) -> Sequence[Receipt]:
        return codec.parse_receipts(codec.parse_items(webhook.body))

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        return Acknowledgement(codec.ACKNOWLEDGED, media_type="application/json")

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        """ "" for a part behind the last message that one reply may take. Raises also `UpstreamRefused` for somebody who
        opted out."""
        message, settings = part.message, self._settings
        if not part.text.strip():
            raise errors.UnsupportedContent("An SMS cannot be empty.", code=f"{NAME}_empty")
        await self._opt_outs.check(message.recipient)
        text = sms.fill(part, limit=settings.variable_limit, messages=settings.max_messages)
        if not text:
            log.info("rest of a reply not sent", channel=NAME, part=part.index + 1, parts=part.count)
            return ""
        parameters = codec.render_send(
            message.recipient, text, sign_name=settings.sign_name, template_code=settings.template_code,
            variable=settings.variable, extend_code=settings.extend_code,
            out_id=codec.digest(self._surroundings.account, idempotency_key),
        )  # fmt: skip
        return await self._connection.send(parameters)

    async def test(self) -> str:
        answer = await self._connection.template(self._settings.template_code)
        state = _TEMPLATE_STATES.get(answer.get("TemplateStatus", -1), "is known")
        return f"Aliyun takes the key; the template {state}."

    def reach(self, phone: str) -> Reach:
        """Numbers of the mainland stand without their country's code here, as in what Aliyun reports."""
        number = phone.removeprefix("+86").removeprefix("+")
        return Reach(f"{self._settings.extend_code}|{number}", number)

    async def show_typing(self, conversation: Conversation) -> None:
        """SMS has none."""

    def routes(self, door: Door) -> Sequence[BaseRoute]:
        return ()


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without configured credentials the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, SmsAliyunSettings)
    if settings.is_demo:
        log.warning("sms_aliyun runs with demo credentials", try_it='huiliu simulate sms_aliyun "hello"')
    complete = settings.or_demo(surroundings.vault)
    return SmsAliyunChannel(complete, surroundings, Connection(complete, surroundings.clock))


SPEC = ChannelSpec(
    name=NAME,
    settings=SmsAliyunSettings,
    build=build,
    title={"zh": "阿里云短信", "en": "SMS (Alibaba Cloud)"},
)
