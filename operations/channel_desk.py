"""Accounts of channels as those who run the service see them: which there are, how they do, adding, testing, closing.

The console's page, the staff's routes and through them `huiliu channels` use it. What is open in this process is the
wiring's `ChannelSet`, here a `OpenChannels`. Every change writes its audit entry in its own transaction.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, SecretStr

from channels import accounts, refusals
from channels.accounts import Account
from channels.contract import (
    MAIN,
    Channel,
    ChannelSpec,
    Surroundings,
)
from channels.places import find_channel, place
from channels.platforms import shelf
from channels.platforms.shelf import TokenState
from channels.promises import Addressed, Testing
from channels.refusals import Refusals
from foundation import errors
from foundation.clock import Clock
from foundation.messages import TenantId
from foundation.storage.database import Database
from operations import audit, channel_reads
from operations.channel_reads import OpenWindow, Place, Traffic, Windows
from operations.staff import Member

WITHIN = timedelta(hours=24)


class OpenChannels(Mapping[tuple[TenantId, str], Channel]):
    """What `service.channel_set.ChannelSet` is to this floor."""

    @abstractmethod
    async def sync(self) -> None:
        """Opens what was added or changed, closes what was removed."""

    @abstractmethod
    def problem(self, tenant: TenantId, channel: str, account: str) -> str:
        """Why an added account is not open; "" when it is."""

    @abstractmethod
    def is_demo(self, tenant: TenantId, channel: str, account: str) -> bool:
        """Opened with the demo's credentials, because it has none of its own: there is no platform behind it."""

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
    """`problem` says why it is not open. `hook` is the address for the platform, with its secret where it has one; "" where
    none is entered. Counts are of the last 24 hours, but for dead letters; `refused` by code."""

    channel: str
    account: str
    title: Mapping[str, str]
    hook: str
    hook_is_secret: bool
    is_open: bool
    is_added: bool
    is_demo: bool
    active: bool
    testable: bool
    problem: str
    traffic: Traffic
    refused: Mapping[str, int]
    needs_token: bool
    tokens: Sequence[TokenState]
    windows: Windows | None

    @property
    def error_rate(self) -> float:
        """Of what we sent, what failed: 0 to 1."""
        tried = self.traffic.sent + self.traffic.failed
        return self.traffic.failed / tried if tried else 0.0


class ChannelDesk:
    def __init__(
        self, specs: Sequence[ChannelSpec], channels: OpenChannels, database: Database, *, clock: Clock,
        counted: Refusals | None = None,
    ) -> None:  # fmt: skip
        """`counted`: refusals of this process, which are not all in the database yet."""
        self._specs = {spec.name: spec for spec in specs}
        self._channels = channels
        self._database = database
        self._clock = clock
        self._counted = counted

    def kinds(self) -> list[ChannelSpec]:
        """The channels an account can be added to; those that nobody can open say why in `closed`."""
        return list(self._specs.values())

    async def overview(self, tenant: TenantId) -> list[AccountStatus]:
        """Open channels first, then added accounts that are not open, by name."""
        if self._counted is not None:
            await self._counted.flush()
        read = await self._database.read(lambda connection: self._read(connection, tenant))
        main = [key for key, _ in self._open_places(tenant) if key[1] == MAIN]
        keys = dict.fromkeys([*main, *read.added])
        shown = [self._status(tenant, *key, added=read.added.get(key), read=read) for key in keys]
        return sorted(shown, key=lambda one: (not one.is_open, one.channel, one.account))

    async def open_windows(self, tenant: TenantId, channel: str, account: str) -> list[OpenWindow]:
        """The latest conversations that may still be answered; none for a channel without such a limit, or that is not
        open."""
        opened = self._channels.get((tenant, place(channel, account)))
        if opened is None:
            return []
        return await self._database.read(
            lambda connection: channel_reads.read_open_windows(
                connection, tenant, (channel, account), opened.capabilities, self._clock()
            )
        )

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
        self, tenant: TenantId, channel: str, account: str, *, added: Account | None, read: _Read
    ) -> AccountStatus:
        spec, opened = self._specs[channel], self._channels.get((tenant, place(channel, account)))
        key = (channel, account)
        plain = self._channels.surroundings(tenant, account).hook(channel)
        hook = opened.address if isinstance(opened, Addressed) else plain
        return AccountStatus(
            channel=channel, account=account, title=spec.title, hook=hook,
            hook_is_secret=hook.startswith(plain) and hook != plain, is_open=opened is not None, is_added=added is not None,
            is_demo=self._channels.is_demo(tenant, channel, account), active=added is None or added.active,
            testable=isinstance(opened, Testing), problem=self._channels.problem(tenant, channel, account),
            traffic=read.traffic.get(key, Traffic()), refused=read.refused.get(key, {}),
            needs_token=spec.fetches_token, tokens=[one for one in read.tokens if (one.channel, one.account) == key],
            windows=read.windows.get(key),
        )  # fmt: skip

    def _read(self, connection: sa.Connection, tenant: TenantId) -> _Read:
        now = self._clock()
        since = now - WITHIN
        added = [one for one in accounts.read_all(connection) if one.tenant == tenant]
        windows = {
            key: found
            for key, channel in self._open_places(tenant)
            if (found := channel_reads.read_windows(connection, tenant, key, channel.capabilities, now))
        }
        return _Read(
            {(one.channel, one.account): one for one in added},
            channel_reads.read_traffic(connection, tenant, since),
            refusals.count(connection, tenant, since), shelf.read_tokens(connection, tenant), windows,
        )  # fmt: skip

    def _open_places(self, tenant: TenantId) -> list[tuple[Place, Channel]]:
        found = []
        for (owner, name), channel in self._channels.items():
            kind, _, account = name.partition(":")
            if owner == tenant:
                found.append(((kind, account or MAIN), channel))
        return found


@dataclass(frozen=True, slots=True)
class _Read:
    """What one look into the database brings, by channel and account."""

    added: Mapping[Place, Account]
    traffic: Mapping[Place, Traffic]
    refused: Mapping[Place, Mapping[str, int]]
    tokens: Sequence[TokenState]
    windows: Mapping[Place, Windows]


def fields_of(settings: type[BaseModel], values: Mapping[str, Any]) -> list[Field]:
    fields = []
    for name, field in settings.model_fields.items():
        secret = field.annotation is SecretStr
        default = "" if field.default is None or isinstance(field.default, SecretStr) else str(field.default)
        given = values.get(name)
        shown = "" if secret or given is None else str(given)
        fields.append(Field(name, field.description or "", secret, default, shown, given not in (None, "")))
    return fields
