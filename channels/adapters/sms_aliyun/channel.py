"""Aliyun SMS as a channel of the house: a secret address in, an approved template out.

Aliyun's reports are acknowledged at once. In mainland China nothing but approved templates can be sent, so a reply goes into
the one variable of a template and is cut to it, aloud.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from pydantic import BaseModel

from channels.adapters.sms_aliyun import codec
from channels.adapters.sms_aliyun.connection import Connection
from channels.adapters.sms_aliyun.settings import NAME, SmsAliyunSettings
from channels.contract import (
    Acknowledgement,
    Channel,
    ChannelSpec,
    Part,
    Receipt,
    Surroundings,
    Webhook,
)
from channels.families import sms
from channels.platforms.signatures import secrets_of
from channels.promises import Reach
from foundation.messages import InboundMessage

log = structlog.get_logger(__name__)

_TEMPLATE_STATES = {0: "is being examined", 1: "is approved", 2: "was not approved"}


class SmsAliyunChannel(sms.ByTemplate[Connection]):
    """`settings` are complete: see `SmsAliyunSettings.or_demo`."""

    name = NAME

    def __init__(
        self, settings: SmsAliyunSettings, surroundings: Surroundings, connection: Connection
    ) -> None:
        super().__init__(
            surroundings,
            connection,
            paths=secrets_of(settings.path_secret, settings.previous_path_secret),
            limit=settings.variable_limit,
            messages=settings.max_messages,
        )
        self._settings = settings

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        return codec.parse_messages(
            codec.parse_items(webhook.body), tenant=self._surroundings.tenant, account=self._surroundings.account,
            scope=self._settings.sign_name, keywords=sms.keywords(), received_at=webhook.received_at,
            utc_offset_hours=self._settings.utc_offset_hours,
        )  # fmt: skip

    def receipts(self, webhook: Webhook) -> Sequence[Receipt]:
        return codec.parse_receipts(codec.parse_items(webhook.body))

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        return Acknowledgement(codec.ACKNOWLEDGED, media_type="application/json")

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        """ "" for a part behind the last message that one reply may take. Raises also `UpstreamRefused` for somebody who
        opted out."""
        message, settings = part.message, self._settings
        text = await self._variable(part)
        if not text:
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


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without configured credentials the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, SmsAliyunSettings)
    complete = settings.or_demo(surroundings.vault)
    return SmsAliyunChannel(complete, surroundings, Connection(complete, surroundings.clock))


SPEC = ChannelSpec(
    name=NAME,
    settings=SmsAliyunSettings,
    build=build,
    title={"zh": "阿里云短信", "en": "SMS (Alibaba Cloud)"},
)
