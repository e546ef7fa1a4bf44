"""WeChat customer service as a channel of the house: it rings, we fetch, and reply through kf/send_msg.

`registry.py` lists `SPEC`. The callback carries no content and is acknowledged at once; `pull` runs beside the service
and hands each message to the door.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from channels import text as texts
from channels.adapters.wecom_kf import codec
from channels.adapters.wecom_kf.codec import Place
from channels.adapters.wecom_kf.connection import Connection, SessionState
from channels.adapters.wecom_kf.puller import Puller
from channels.adapters.wecom_kf.settings import NAME, WecomKfSettings
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
from channels.families.wechat.gated import Gated
from channels.platforms.shelf import Shelf
from channels.promises import Media
from foundation import errors
from foundation.conversations import Conversation
from foundation.messages import Attachment, InboundMessage

CAPABILITIES = Capabilities(
    text_limit=2048,
    text_unit="bytes",
    buttons=8,
    citations="text",
    reply_window_seconds=48 * 3600,
    reply_quota=5,
    acknowledge_unreadable=True,
)
_QUEUE: SessionState = 2
_SERVICER: SessionState = 3
_SAYS_WHY: Mapping[SessionState, tuple[str, str]] = {
    2: ("in_queue", "The customer waits in WeCom's queue for a person; only people may write there."),
    3: ("with_servicer", "A person serves the customer inside WeCom; only that person may write."),
    4: ("session_ended", "The session has ended; we may write after the customer's next message."),
}


class WecomKfChannel(Gated[Connection]):
    """Keeps also `Pulling`, `Fetching` and `Testing`. `settings` are complete: see `or_demo`."""

    name = NAME
    capabilities = CAPABILITIES

    def __init__(self, settings: WecomKfSettings, surroundings: Surroundings, connection: Connection) -> None:
        self._settings = settings
        self._connection = connection
        self._gate = settings.gate(codec.identify)
        self.puller = Puller(
            connection,
            Shelf(NAME, surroundings),
            Place(surroundings.tenant, surroundings.account, settings.corp_id),
            accounts=settings.accounts,
            poll_seconds=settings.poll_seconds,
            clock=surroundings.clock,
        )

    def read(self, webhook: Webhook) -> Sequence[InboundMessage]:
        """A callback carries no message; raises `UnreadablePayload` for one that is no callback at all."""
        codec.parse_bell(self._gate.open(webhook))
        return ()

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        bell = codec.parse_bell(self._gate.open(webhook))
        if bell is not None:
            self.puller.ring(bell)
        return Acknowledgement(b"success")

    async def pull(self, door: Door) -> None:
        await self.puller.run(door)

    async def send(self, part: Part, *, idempotency_key: str) -> str:
        """A text, or a menu; a head too long for a menu goes before it. The first words after a customer's entering go
        with the code that came with it, because nothing else may be said before they write."""
        if not part.text.strip():
            raise errors.UnsupportedContent("WeCom does not take an empty text.", code=f"{NAME}_empty")
        contents = _contents(part)
        context = part.message.reply_context
        code = context.get("welcome_code", "") if part.index == 0 else ""
        sent = ""
        for number, content in enumerate(contents):
            msgid = codec.msgid_of(idempotency_key, number)
            if code and number == 0:
                body = codec.render_welcome(content, code=code, msgid=msgid)
                sent = await self._connection.send_on_event(body) or msgid
            else:
                sent = await self._send(content, part, self._account(context), msgid)
        return sent

    @property
    def hands_over(self) -> bool:
        return self._settings.handover != "none"

    async def hand_over(self, conversation: Conversation) -> None:
        """To people inside WeCom, as the settings say: into their queue, or to one servicer."""
        account, customer = self._account(conversation.reply_context), conversation.recipient
        if self._settings.handover == "queue":
            await self._connection.move(account, customer, _QUEUE)
        else:
            await self._connection.move(account, customer, _SERVICER, self._settings.servicer_userid)

    async def fetch(self, attachment: Attachment) -> Media:
        if not attachment.media_id:
            raise errors.UpstreamRefused("This attachment has no file at WeCom.", code=f"{NAME}_no_media")
        return await self._connection.media(attachment.media_id)

    async def test(self) -> str:
        names = await self._connection.accounts()
        unknown = [one for one in self._settings.accounts if one not in names]
        if unknown:
            raise errors.UpstreamRefused(
                f"The app may not manage {', '.join(unknown)}; add it in WeCom's customer service.",
                code=f"{NAME}_unknown_account",
            )
        return f"WeCom names {len(names)} customer service accounts: {', '.join(sorted(names.values()))}."

    async def _send(self, content: Mapping[str, Any], part: Part, account: str, msgid: str) -> str:
        customer = part.message.recipient
        body = codec.render_send(content, recipient=customer, open_kfid=account, msgid=msgid)
        try:
            return await self._connection.send(body) or msgid
        except errors.UpstreamRefused as error:
            if error.code != f"{NAME}_session_state":
                raise
            code, sentence = _SAYS_WHY.get(
                await self._connection.session(account, customer), ("session_state", error.public_text)
            )
            raise errors.UpstreamRefused(sentence, code=f"{NAME}_{code}") from error

    def _account(self, context: Mapping[str, str]) -> str:
        if context.get("open_kfid"):
            return context["open_kfid"]
        if len(self._settings.accounts) == 1:
            return self._settings.accounts[0]
        raise errors.UpstreamRefused(
            "It is not known which customer service account the customer wrote to.", code=f"{NAME}_no_account"
        )


def _contents(part: Part) -> list[dict[str, Any]]:
    choices = part.message.reply.choices
    if not choices:
        return [codec.render_text(part.text)]
    if texts.size(part.text, "bytes") <= codec.MENU_HEAD_BYTES:
        return [codec.render_menu(part.text, choices)]
    return [codec.render_text(part.text), codec.render_menu("", choices)]


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    """Without configured credentials the channel opens with the demo's, for the simulator to speak to."""
    assert isinstance(settings, WecomKfSettings)
    complete = settings.or_demo(surroundings.vault)
    return WecomKfChannel(complete, surroundings, Connection(complete, Shelf(NAME, surroundings)))


SPEC = ChannelSpec(
    name=NAME,
    settings=WecomKfSettings,
    build=build,
    title={"zh": "微信客服", "en": "WeChat customer service (WeCom)"},
    fetches_token=True,
)
