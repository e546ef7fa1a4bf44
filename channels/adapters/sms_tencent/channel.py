"""Tencent Cloud SMS as a channel of the house: a secret address in, an approved template out.

Tencent's calls are acknowledged at once. In mainland China nothing but approved templates can be sent, so a reply goes into
the one variable of a template and is cut to it, aloud.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from pydantic import BaseModel

from channels.adapters.sms_tencent import codec
from channels.adapters.sms_tencent.connection import Connection
from channels.adapters.sms_tencent.settings import NAME, SmsTencentSettings
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
from foundation import errors
from foundation.messages import InboundMessage

log = structlog.get_logger(__name__)

_TEMPLATE_STATES = {0: "is approved", 1: "is being examined", -1: "was not approved"}


class SmsTencentChannel(sms.ByTemplate[Connection]):
    """`settings` are complete: see `SmsTencentSettings.or_demo`."""

    name = NAME

    def __init__(
        self, settings: SmsTencentSettings, surroundings: Surroundings, connection: Connection
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
            app_id=self._settings.app_id, keywords=sms.keywords(), received_at=webhook.received_at,
        )  # fmt: skip

    def receipts(self, webhook: Webhook) -> Sequence[Receipt]:
        return codec.parse_receipts(codec.parse_items(webhook.body))

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        return Acknowledgement(codec.ACKNOWLEDGED, media_type="application/json")

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        """ "" for a part behind the last message that one reply may take. Raises also `UpstreamRefused` for somebody who
        opted out, here or there."""
        message, settings = part.message, self._settings
        text = await self._variable(part)
        if not text:
            return ""
        body = codec.render_send(
            message.recipient, text, app_id=settings.app_id, template_id=settings.template_id,
            sign_name=settings.sign_name, extend=message.reply_context.get("extend") or settings.extend_code,
            context=codec.digest(self._surroundings.account, idempotency_key),
        )  # fmt: skip
        try:
            return await self._connection.send(body)
        except errors.UpstreamRefused as error:
            if error.code == f"{NAME}_opted_out":
                await self._opt_outs.add(message.recipient)
            raise

    async def test(self) -> str:
        answer = await self._connection.template(self._settings.template_id)
        state = _TEMPLATE_STATES.get(answer.get("StatusCode", 99), "is not known there")
        return f"Tencent takes the key; the template {state}."

    def reach(self, phone: str) -> Reach:
        """With the account's own extension; the customer's answer comes into the same conversation."""
        extend = self._settings.extend_code
        return Reach(f"{extend}|{phone}", phone, {"extend": extend} if extend else {})


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without configured credentials the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, SmsTencentSettings)
    complete = settings.or_demo(surroundings.vault)
    return SmsTencentChannel(complete, surroundings, Connection(complete, surroundings.clock))


SPEC = ChannelSpec(
    name=NAME,
    settings=SmsTencentSettings,
    build=build,
    title={"zh": "腾讯云短信", "en": "SMS (Tencent Cloud)"},
)
