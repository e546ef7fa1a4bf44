"""Tells the shop's push service that a reply waits for a customer whose app is not open.

`send` of the channel only puts it down; `work` looks a moment later whether any device has acknowledged the reply, and
calls only for those it was not shown on. A push that fails never holds a reply back, which waits in the transcript: it is
tried again under the same `webhook-id`, and after half an hour let go.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from functools import partial

import httpx
import sqlalchemy as sa
import structlog

from channels.adapters.app import records
from channels.adapters.app.records import Device, Place, Push
from channels.adapters.app.settings import NAME, AppSettings
from channels.contract import Part, Surroundings
from channels.platforms import standard_webhooks
from channels.platforms.api import Api
from channels.platforms.signatures import secrets_of
from foundation import conversations, errors
from foundation.conversations import Message

log = structlog.get_logger(__name__)

AT_ONCE = 16
CLAIM_SECONDS = 60
"""Longer than a call can take."""
ATTEMPTS = 12
PAUSE_SECONDS = 5
LONGEST_PAUSE_SECONDS = 300
TEXT_LIMIT = 200
"""Characters of a reply that a notification shows."""
GONE = 410


class _PushApi(Api):
    def raise_for_status(self, response: httpx.Response) -> None:
        """A device that is gone says nothing about the service."""
        if response.status_code in (401, 403):
            raise self.refused(
                "push_credentials", "The push service refuses our signature; check push_secret."
            )
        if 300 <= response.status_code < 400:
            raise self.refused("push_moved", "The push service has moved; check push_url.")
        if response.status_code != GONE:
            super().raise_for_status(response)


class Pusher:
    """`settings` are complete: see `AppSettings.or_demo`."""

    def __init__(
        self, settings: AppSettings, surroundings: Surroundings, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:  # fmt: skip
        self._settings = settings
        self._around = surroundings
        self._place = Place(surroundings.tenant, surroundings.account)
        self._secrets = secrets_of(settings.push_secret, settings.previous_push_secret)
        trusted = (settings.push_url,) if settings.push_url else ()
        self._api = _PushApi(NAME, "The push service", "", transport=transport, trusted=trusted)

    @property
    def is_on(self) -> bool:
        return bool(self._settings.push_url)

    async def close(self) -> None:
        await self._api.close()

    async def put_down(self, part: Part, key: str) -> None:
        """For each device of the customer, durable when it returns. Repeatable for the same key."""
        message = part.message
        due_at = self._around.clock() + timedelta(seconds=self._settings.push_after_seconds)

        def write(connection: sa.Connection) -> None:
            devices = records.find_devices(connection, self._place, message.conversation_id)
            pushes = [
                Push(key, one.device, message.conversation_id, message.message_id, message.recipient, due_at)
                for one in devices
            ]
            records.add_pushes(connection, self._place, pushes)

        await self._around.database.write(write)

    async def work(self) -> int:
        """Everything that is due now; the number of what was looked at."""
        now = self._around.clock()
        if not await self._around.database.read(lambda c: records.is_due(c, self._place, now)):
            return 0
        taken = await self._around.database.write(
            lambda connection: records.take_due(
                connection, self._place, now=now, until=now + timedelta(seconds=CLAIM_SECONDS), limit=AT_ONCE
            )
        )
        await asyncio.gather(*(self._settle(one) for one in taken))
        return len(taken)

    async def ping(self) -> None:
        """A signed call that means nothing. Raises `UpstreamError`, `Exhausted`."""
        content = {"type": "ping", "timestamp": self._around.clock().isoformat(), "data": {}}
        await self._call(f"ping_{int(self._around.clock().timestamp())}", content)

    async def _settle(self, push: Push) -> None:
        device, waiting = await self._around.database.read(lambda connection: self._look(connection, push))
        if device is None or waiting is None:
            await self._done(push)
            return
        try:
            status = await self._call(_identity(push), self._content(push, device, waiting))
        except (errors.UpstreamUnavailable, errors.Exhausted) as error:
            await self._again(push, error)
            return
        except (errors.UpstreamRefused, errors.InvalidInput):
            await self._done(push)  # the connection has said so once, and the reply waits where it is
            return
        if status == GONE:
            await self._around.database.write(
                lambda connection: records.forget_device(
                    connection, self._place, push.conversation_id, push.device
                )
            )
        await self._done(push)

    def _look(self, connection: sa.Connection, push: Push) -> tuple[Device | None, Message | None]:
        """The device, and the reply unless it has been shown."""
        tenant, talk = self._place.tenant, push.conversation_id
        devices = records.find_devices(connection, self._place, talk)
        device = next((one for one in devices if one.device == push.device), None)
        conversation = conversations.find(connection, tenant, talk)
        message = conversations.find_message(connection, tenant, talk, push.message_id)
        if conversation is None or message is None:
            return device, None
        shown = max(conversation.customer_delivered_seq, conversation.customer_read_seq)
        return device, None if message.seq <= shown else message

    def _content(self, push: Push, device: Device, waiting: Message) -> dict[str, object]:
        data: dict[str, object] = {
            "account": self._place.account,
            "user": push.recipient,
            "device": device.device,
            "platform": device.platform,
            "handle": device.handle,
            "conversation_id": push.conversation_id,
            "message_id": push.message_id,
            "seq": waiting.seq,
            "from": waiting.role,
        }
        if self._settings.push_title:
            data["title"] = self._settings.push_title
        if self._settings.push_text:
            data["text"] = waiting.text[:TEXT_LIMIT]
        return {"type": "message.waiting", "timestamp": waiting.sent_at.isoformat(), "data": data}

    async def _call(self, identity: str, content: Mapping[str, object]) -> int:
        body = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
        headers = standard_webhooks.headers(self._secrets, identity, self._around.clock(), body)
        answer = await self._api.call(
            "POST",
            self._settings.push_url,
            content=body,
            headers={**headers, "content-type": "application/json"},
        )
        return answer.status_code

    async def _again(self, push: Push, error: errors.ServiceError) -> None:
        if push.attempts >= ATTEMPTS:
            log.warning("push given up", channel=NAME, code=error.code, conversation=push.conversation_id)
            await self._done(push)
            return
        pause = min(LONGEST_PAUSE_SECONDS, PAUSE_SECONDS * 2 ** (push.attempts - 1))
        until = self._around.clock() + timedelta(seconds=max(pause, error.retry_after_seconds or 0))
        await self._around.database.write(partial(records.delay, place=self._place, push=push, until=until))

    async def _done(self, push: Push) -> None:
        await self._around.database.write(partial(records.settle, place=self._place, push=push))


def _identity(push: Push) -> str:
    """The same for each attempt, and another for each device."""
    digest = hashlib.sha256(f"{push.id}\0{push.device}".encode()).hexdigest()
    return f"msg_{digest[:32]}"
