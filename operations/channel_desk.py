"""Accounts of channels as those who run the service see them: which there are, how they do, adding, testing, closing.

The console's page, the staff's routes and through them `huiliu channels` use it. What is open in this process is the
wiring's `ChannelSet`, here a `OpenChannels`. Every change writes its audit entry in its own transaction.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, SecretStr

from channels import accounts
from channels.accounts import Account
from channels.contract import MAIN, Channel, ChannelSpec, Surroundings, Testing
from channels.places import find_channel, place
from channels.records import delivery_part_table
from foundation import errors
from foundation.clock import Clock, from_milliseconds, to_milliseconds
from foundation.conversations import conversation_table, message_table
from foundation.messages import TenantId
from foundation.storage.database import Database
from operations import audit
from operations.staff import Member

FAILURES_WITHIN = timedelta(hours=24)


class OpenChannels(Mapping[tuple[TenantId, str], Channel]):
    """What `service.channel_set.ChannelSet` is to this floor."""

    @abstractmethod
    async def sync(self) -> None:
        """Opens what was added or changed, closes what was removed."""

    @abstractmethod
    def problem(self, tenant: TenantId, channel: str, account: str) -> str:
        """Why an added account is not open; "" when it is."""

    @abstractmethod
    def surroundings(self, tenant: TenantId, account: str = MAIN) -> Surroundings: ...


@dataclass(frozen=True, slots=True)
class Field:
    """One setting of a channel as a form shows it. A secret's value is never told, only whether there is one."""

    name: str
    description: str
    secret: bool
    default: str
    value: str
    is_set: bool


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """`problem` says why it is not open. `last_in` and `last_out` are the last messages of customers and to them."""

    channel: str
    account: str
    title: Mapping[str, str]
    hook: str
    is_open: bool
    is_added: bool
    active: bool
    testable: bool
    problem: str
    last_in: datetime | None
    last_out: datetime | None
    failed: int


class ChannelDesk:
    def __init__(
        self, specs: Sequence[ChannelSpec], channels: OpenChannels, database: Database, *, clock: Clock
    ) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._channels = channels
        self._database = database
        self._clock = clock

    def kinds(self) -> list[ChannelSpec]:
        """The channels an account can be added to; those that nobody can open say why in `closed`."""
        return list(self._specs.values())

    async def overview(self, tenant: TenantId) -> list[AccountStatus]:
        """Open channels first, then added accounts that are not open, by name."""
        added = await self._database.read(
            lambda connection: [one for one in accounts.read_all(connection) if one.tenant == tenant]
        )
        marks = await self._database.read(lambda connection: self._traffic(connection, tenant))
        mine = {(one.channel, one.account): one for one in added}
        main = [(name, MAIN) for owner, name in self._channels if owner == tenant and ":" not in name]
        shown = [self._status(tenant, *key, mine.get(key), marks) for key in dict.fromkeys([*main, *mine])]
        return sorted(shown, key=lambda one: (not one.is_open, one.channel, one.account))

    async def form(self, tenant: TenantId, channel: str, account: str = "") -> list[Field]:
        """The settings of a channel, filled in for an account that exists. Raises `NotFound`."""
        spec = self._spec(channel)
        found = await self._find(tenant, channel, account) if account else None
        return fields_of(spec.settings, found.settings if found else {})

    async def save(
        self, member: Member, channel: str, account: str, values: dict[str, Any], *, active: bool = True
    ) -> AccountStatus:
        """Adds or changes an account and opens it at once; secrets that are left empty stay. Raises `InvalidInput`,
        `NotFound`."""
        spec, now = self._spec(channel), self._clock()
        if spec.closed:
            raise errors.InvalidInput(spec.closed, code="channel_closed")

        def write(connection: sa.Connection) -> None:
            accounts.save(connection, member.tenant, spec, account, values, now=now, active=active)
            audit.write(
                connection, member.tenant, actor=member.id, action="channels.saved",
                subject=place(channel, account), now=now, detail={"fields": sorted(values), "active": active},
            )  # fmt: skip

        await self._database.write(write)
        await self._channels.sync()
        return await self._one(member.tenant, channel, account)

    async def remove(self, member: Member, channel: str, account: str) -> None:
        """Its conversations stay; replies to them can no longer be sent. Raises `NotFound`."""
        now = self._clock()

        def write(connection: sa.Connection) -> None:
            accounts.remove(connection, member.tenant, channel, account)
            audit.write(
                connection, member.tenant, actor=member.id, action="channels.removed",
                subject=place(channel, account), now=now,
            )  # fmt: skip

        await self._database.write(write)
        await self._channels.sync()

    async def test(self, tenant: TenantId, channel: str, account: str) -> str:
        """One harmless call with the account's credentials: what answered. Raises `NotFound`, `InvalidInput` where the
        channel has no such call, `UpstreamRefused`, `UpstreamUnavailable`."""
        self._spec(channel)
        if problem := self._channels.problem(tenant, channel, account):
            raise errors.InvalidInput(problem, code="account_not_open")
        opened = find_channel(self._channels, tenant, channel, account)
        if opened is None or (account != MAIN and (tenant, place(channel, account)) not in self._channels):
            raise errors.NotFound(f"{channel} has no open account {account!r}.", code="unknown_account")
        if not isinstance(opened, Testing):
            raise errors.InvalidInput(
                f"{channel} has no call that tries the credentials; send it a message.", code="no_test"
            )
        return await opened.test()

    def _spec(self, channel: str) -> ChannelSpec:
        spec = self._specs.get(channel)
        if spec is None:
            known = ", ".join(sorted(self._specs))
            raise errors.NotFound(
                f"There is no channel {channel!r}; there are {known}.", code="unknown_channel"
            )
        return spec

    async def _find(self, tenant: TenantId, channel: str, account: str) -> Account:
        found = await self._database.read(
            lambda connection: accounts.find(connection, tenant, channel, account)
        )
        if found is None:
            raise errors.NotFound(f"There is no account {account!r} of {channel}.", code="unknown_account")
        return found

    async def _one(self, tenant: TenantId, channel: str, account: str) -> AccountStatus:
        return next(
            one for one in await self.overview(tenant) if (one.channel, one.account) == (channel, account)
        )

    def _status(
        self, tenant: TenantId, channel: str, account: str, added: Account | None, marks: Traffic
    ) -> AccountStatus:
        opened = self._channels.get((tenant, place(channel, account)))
        last_in, last_out, failed = marks.get((channel, account), (None, None, 0))
        return AccountStatus(
            channel=channel, account=account, title=self._specs[channel].title,
            hook=self._channels.surroundings(tenant, account).hook(channel), is_open=opened is not None,
            is_added=added is not None, active=added is None or added.active, testable=isinstance(opened, Testing),
            problem=self._channels.problem(tenant, channel, account), last_in=last_in, last_out=last_out, failed=failed,
        )  # fmt: skip

    def _traffic(self, connection: sa.Connection, tenant: TenantId) -> Traffic:
        talk, message, part = conversation_table.c, message_table.c, delivery_part_table.c
        since = to_milliseconds(self._clock() - FAILURES_WITHIN)
        place_of = (talk.channel, talk.account)
        came = sa.select(*place_of, sa.func.max(talk.last_customer_at)).where(talk.tenant == tenant)
        joined = sa.join(delivery_part_table, conversation_table, part.conversation_id == talk.id)
        went = (
            sa.select(*place_of, sa.func.max(part.sent_at)).select_from(joined).where(part.tenant == tenant)
        )
        of = sa.join(message_table, conversation_table, message.conversation_id == talk.id)
        lost = (
            sa.select(*place_of, sa.func.count())
            .select_from(of)
            .where(message.tenant == tenant, message.state == "failed", message.sent_at >= since)
        )
        found: list[dict[tuple[str, str], int]] = []
        for query in (came, went, lost):
            rows = connection.execute(query.group_by(*place_of))
            found.append({(row[0], self._account_of(row[0], row[1])): row[2] for row in rows if row[2]})
        return {
            key: (_moment(found[0].get(key)), _moment(found[1].get(key)), found[2].get(key, 0))
            for key in set().union(*found)
        }

    def _account_of(self, channel: str, account: str) -> str:
        """The web chat names its conversations by the site they stand on."""
        return MAIN if channel == "web_chat" else account


Traffic = dict[tuple[str, str], tuple[datetime | None, datetime | None, int]]


def fields_of(settings: type[BaseModel], values: Mapping[str, Any]) -> list[Field]:
    fields = []
    for name, field in settings.model_fields.items():
        secret = field.annotation is SecretStr
        default = "" if field.default is None or isinstance(field.default, SecretStr) else str(field.default)
        given = values.get(name)
        shown = "" if secret or given is None else str(given)
        fields.append(Field(name, field.description or "", secret, default, shown, given not in (None, "")))
    return fields


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else from_milliseconds(milliseconds)
