"""What staff do with webhooks: add, change, test, send again, change the secret, look at the log.

The console's page, the staff's routes and through them `huiliu webhooks` use it. Who calls the addresses is the service's
`Caller`, so this floor opens no connection. Every change writes its audit entry in its own transaction; addresses stand in no
audit and no log, because they may hold a secret.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import sqlalchemy as sa

from foundation import errors
from foundation.clock import Clock
from foundation.messages import TenantId
from foundation.outward import catalogue, outbox
from foundation.storage.database import Database
from operations import audit
from operations.staff import Member, Permission
from operations.webhooks import records
from operations.webhooks.records import Delivery, Webhook

PERMISSION: Permission = "webhooks.manage"
MOST_WEBHOOKS = 20
LONGEST_URL = 2000
LONGEST_DESCRIPTION = 200
OLD_SECRET_LASTS = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one call: `status` None when nothing came back, then `error` says why."""

    status: int | None
    error: str = ""
    milliseconds: int = 0
    retry_after_seconds: float | None = None

    @property
    def fine(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Caller(Protocol):
    async def check(self, url: str) -> None:
        """Raises `InvalidInput` for an address that may not be called."""
        ...

    async def test(self, webhook: Webhook) -> Attempt:
        """One call with an event that means nothing; it stands in the log."""
        ...


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants of a webhook. `types` empty: all kinds."""

    url: str
    types: Sequence[str] = ()
    description: str = ""
    with_text: bool = False
    active: bool = True


@dataclass(frozen=True, slots=True)
class Status:
    webhook: Webhook
    waiting: int
    delivered: int
    failed: int


class WebhookDesk:
    """`may_text`: whether a tenant lets texts of messages out at all."""

    def __init__(
        self, database: Database, caller: Caller, clock: Clock, *, may_text: Callable[[TenantId], bool]
    ) -> None:
        self._database = database
        self._caller = caller
        self._clock = clock
        self.may_text = may_text

    async def overview(self, tenant: TenantId) -> list[Status]:
        def read(connection: sa.Connection) -> list[Status]:
            counted = records.count_states(connection, tenant)
            return [
                Status(one, *(counted.get(one.id, {}).get(state, 0) for state in range(3)))
                for one in records.read_all(connection, tenant, self._clock())
            ]

        return await self._database.read(read)

    async def get(self, tenant: TenantId, webhook_id: str) -> Webhook:
        """Raises `NotFound`."""
        return await self._database.read(lambda c: records.get(c, tenant, webhook_id, self._clock()))

    async def add(self, member: Member, wish: Wish) -> tuple[Webhook, str]:
        """With its secret, which is told this once. It hears what happens from now on. Raises `InvalidInput`."""
        member.require(PERMISSION)
        await self._check(member.tenant, wish)
        webhook_id, secret, now = f"wh_{secrets.token_hex(8)}", new_secret(), self._clock()

        def write(connection: sa.Connection) -> Webhook:
            if len(records.read_all(connection, member.tenant, now)) >= MOST_WEBHOOKS:
                raise errors.InvalidInput(
                    f"There are {MOST_WEBHOOKS} webhooks already; remove one first.", code="too_many_webhooks"
                )
            made = Webhook(
                tenant=member.tenant, id=webhook_id, url=wish.url, secrets=(secret,), types=tuple(wish.types),
                with_text=wish.with_text, description=wish.description, state="on" if wish.active else "off",
                position=outbox.position_of(connection, member.tenant, outbox.NUMBERED), failures=0,
                failing_since=None, held_until=now, created_at=now,
            )  # fmt: skip
            records.add(connection, made)
            self._audit(connection, member, "webhooks.added", webhook_id)
            return made

        return await self._database.write(write), secret

    async def change(self, member: Member, webhook_id: str, wish: Wish) -> Webhook:
        """Switching it on again forgets its failures; what happened meanwhile is sent. Raises `InvalidInput`, `NotFound`."""
        member.require(PERMISSION)
        await self._check(member.tenant, wish)

        def write(connection: sa.Connection) -> Webhook:
            records.change(
                connection, member.tenant, webhook_id, url=wish.url, types=tuple(wish.types),
                with_text=wish.with_text, description=wish.description, state="on" if wish.active else "off",
                failures=0, failing_since=None, held_until=0,
            )  # fmt: skip
            self._audit(connection, member, "webhooks.changed", webhook_id)
            return records.get(connection, member.tenant, webhook_id, self._clock())

        return await self._database.write(write)

    async def switch(self, member: Member, webhook_id: str, *, active: bool) -> Webhook:
        """Raises `NotFound`."""
        found = await self.get(member.tenant, webhook_id)
        wish = Wish(found.url, found.types, found.description, found.with_text)
        return await self.change(member, webhook_id, replace(wish, active=active))

    async def renew_secret(self, member: Member, webhook_id: str) -> str:
        """The new one, told this once; for a day calls carry a signature by the old one as well. Raises `NotFound`."""
        member.require(PERMISSION)
        secret, now = new_secret(), self._clock()

        def write(connection: sa.Connection) -> None:
            current = records.get(connection, member.tenant, webhook_id, now).secrets[0]
            records.change(
                connection, member.tenant, webhook_id, secret=secret, old_secret=current,
                old_secret_until=now + OLD_SECRET_LASTS,
            )  # fmt: skip
            self._audit(connection, member, "webhooks.secret_renewed", webhook_id)

        await self._database.write(write)
        return secret

    async def remove(self, member: Member, webhook_id: str) -> None:
        """Raises `NotFound`."""
        member.require(PERMISSION)

        def write(connection: sa.Connection) -> None:
            records.remove(connection, member.tenant, webhook_id)
            self._audit(connection, member, "webhooks.removed", webhook_id)

        await self._database.write(write)

    async def test(self, member: Member, webhook_id: str) -> Attempt:
        """Raises `NotFound`."""
        member.require(PERMISSION)
        return await self._caller.test(await self.get(member.tenant, webhook_id))

    async def replay(self, member: Member, webhook_id: str, since: datetime) -> int:
        """Sends everything again that happened since then, of what is kept; how many events stand there. Raises
        `NotFound`, `InvalidInput`."""
        member.require(PERMISSION)
        now = self._clock()
        if since > now or since < now - outbox.KEPT:
            raise errors.InvalidInput(
                f"Events are kept for {outbox.KEPT.days} days; choose a moment since then.", code="bad_moment"
            )

        position = await self._database.read(lambda c: outbox.position_before(c, member.tenant, since))

        def write(connection: sa.Connection) -> int:
            records.change(connection, member.tenant, webhook_id, position=position)
            self._audit(connection, member, "webhooks.replayed", webhook_id)
            return outbox.position_of(connection, member.tenant, outbox.NUMBERED) - position

        return await self._database.write(write)

    async def replay_one(self, member: Member, webhook_id: str, delivery_id: int) -> None:
        """Raises `NotFound`."""
        member.require(PERMISSION)

        def write(connection: sa.Connection) -> None:
            records.reopen(connection, member.tenant, webhook_id, delivery_id, self._clock())
            self._audit(connection, member, "webhooks.replayed", webhook_id)

        await self._database.write(write)

    async def deliveries(
        self, tenant: TenantId, webhook_id: str, *, before: int | None = None, limit: int = 50
    ) -> list[Delivery]:
        """Newest first. Raises `NotFound`."""

        def read(connection: sa.Connection) -> list[Delivery]:
            records.get(connection, tenant, webhook_id, self._clock())
            return records.read_deliveries(connection, tenant, webhook_id, before=before, limit=limit)

        return await self._database.read(read)

    async def _check(self, tenant: TenantId, wish: Wish) -> None:
        if len(wish.url) > LONGEST_URL or len(wish.description) > LONGEST_DESCRIPTION:
            raise errors.InvalidInput(
                f"An address has at most {LONGEST_URL} characters, a description {LONGEST_DESCRIPTION}.",
                code="too_long",
            )
        unknown = [one for one in wish.types if one not in catalogue.kinds()]
        if unknown:
            raise errors.InvalidInput(
                f"There is no event {unknown[0]!r}; there are {', '.join(catalogue.kinds())}.", code="unknown_event"
            )  # fmt: skip
        if wish.with_text and not self.may_text(tenant):
            raise errors.InvalidInput(
                "Texts of messages stay in the house; HUILIU_OUTWARD_TEXTS must name this tenant.",
                code="texts_not_allowed",
            )
        await self._caller.check(wish.url)

    def _audit(self, connection: sa.Connection, member: Member, action: str, webhook_id: str) -> None:
        audit.write(
            connection, member.tenant, actor=member.id, action=action, subject=webhook_id, now=self._clock()
        )


def new_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
