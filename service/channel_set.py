"""The channels that are open in this process: what the environment configures, and the accounts that were added.

A mapping from (tenant, place) to channels that intake and delivery look into; it changes while the process runs, when an
account is added, changed or closed here or in another process. It also keeps the tasks of channels that fetch their
messages themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from pydantic import BaseModel

from channels import accounts
from channels.contract import (
    MAIN,
    Channel,
    ChannelSpec,
    Door,
    Surroundings,
)
from channels.places import place
from channels.promises import Pulling
from foundation import errors
from foundation import settings as configuration
from foundation.clock import Clock
from foundation.errors import ConfigurationError
from foundation.live import Hub
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.settings import Settings
from foundation.storage.database import Database
from operations.channel_desk import OpenChannels
from service import keys

log = structlog.get_logger(__name__)

SYNC_SECONDS = 10.0
"""So often a process looks for accounts that another one has changed."""
RESTART_SECONDS = 5.0
TRY_IT = 'huiliu simulate NAME "hello"'

Key = tuple[TenantId, str]


def names_to_open(settings: Settings, specs: Sequence[ChannelSpec]) -> list[str]:
    """The ones the settings name; where they name none, every channel in the demo (with credentials of the demo's own), and
    in production the web chat and those with a setting. Raises `ConfigurationError` for a name that nobody has."""
    known = {spec.name: spec for spec in specs}
    unknown = [name for name in settings.channels if name not in known]
    if unknown:
        raise ConfigurationError(
            f"HUILIU_CHANNELS names {', '.join(unknown)}; there are {', '.join(sorted(known))}."
        )
    if shut := [name for name in settings.channels if known[name].closed]:
        raise ConfigurationError(f"HUILIU_CHANNELS names {shut[0]}: {known[shut[0]].closed}")
    if settings.channels:
        return list(settings.channels)
    open_ones = [name for name, spec in known.items() if not spec.closed]
    if settings.environment == "demo":
        return open_ones
    return [name for name in open_ones if name == "web_chat" or configuration.is_configured(name)]


@dataclass(slots=True)
class _Added:
    """An account that was opened, and the version of its settings."""

    changed_at: datetime
    problem: str = ""


class ChannelSet(OpenChannels):
    def __init__(
        self, specs: Sequence[ChannelSpec], surroundings: Mapping[TenantId, Surroundings], database: Database
    ) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._surroundings = surroundings
        self._database = database
        self._channels: dict[Key, Channel] = {}
        self._added: dict[Key, _Added] = {}
        self._demo: set[Key] = set()
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._door: Door | None = None
        self._watching: asyncio.Task[None] | None = None
        self._is_open = False
        self._syncing = asyncio.Lock()

    def __getitem__(self, key: Key) -> Channel:
        return self._channels[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._channels)

    def __len__(self) -> int:
        return len(self._channels)

    def configure(self, names: Sequence[str]) -> None:
        """Builds what the environment configures. Raises `ConfigurationError`."""
        for tenant, surroundings in self._surroundings.items():
            for name in names:
                spec = self._specs[name]
                self._channels[tenant, name] = self._build(
                    spec, (tenant, name), configuration.channel(name, spec.settings), surroundings
                )
        if demo := sorted({name for _, name in self._demo}):
            log.info("demo credentials, no platforms", channels=", ".join(demo), try_it=TRY_IT)

    async def open(self) -> None:
        self._is_open = True
        for channel in self._channels.values():
            await channel.open()
        await self.sync()
        self._watching = asyncio.create_task(self._watch(), name="channel-accounts")

    async def close(self) -> None:
        tasks = [task for task in (self._watching, *self._tasks.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.clear()
        for channel in self._channels.values():
            await channel.close()
        self._is_open = False

    def start(self, door: Door) -> None:
        """From now on channels that fetch do so in this process."""
        self._door = door
        for key in self._channels:
            self._pull(key)

    async def sync(self) -> None:
        """Opens accounts that are new or changed, closes those that are gone. One that cannot be opened is named in the
        log and in `problem`, and the others are not disturbed."""
        async with self._syncing:
            wanted = {
                (one.tenant, place(one.channel, one.account)): one
                for one in await self._database.read(accounts.read_all)
                if one.active and one.tenant in self._surroundings and one.channel in self._specs
            }
            for key in [key for key in self._added if key not in wanted]:
                await self._shut(key)
                del self._added[key]
            for key, account in wanted.items():
                known = self._added.get(key)
                if known is None or known.changed_at != account.changed_at:
                    await self._shut(key)
                    self._added[key] = _Added(account.changed_at, await self._try(key, account))

    def problem(self, tenant: TenantId, channel: str, account: str) -> str:
        """Why an added account is not open; "" when it is."""
        found = self._added.get((tenant, place(channel, account)))
        return found.problem if found else ""

    def surroundings(self, tenant: TenantId, account: str = MAIN) -> Surroundings:
        return replace(self._surroundings[tenant], account=account)

    def is_demo(self, tenant: TenantId, channel: str, account: str) -> bool:
        return (tenant, place(channel, account)) in self._demo

    def _build(self, spec: ChannelSpec, key: Key, settings: BaseModel, surroundings: Surroundings) -> Channel:
        """Without an account's credentials a channel opens with the demo's, for its simulator to speak to."""
        self._demo.discard(key)
        if getattr(settings, "is_demo", False):
            self._demo.add(key)
        return spec.build(settings, surroundings)

    async def _try(self, key: Key, account: accounts.Account) -> str:
        spec = self._specs[account.channel]
        try:
            settings = accounts.validate(spec, account.settings)
            around = self.surroundings(account.tenant, account.account)
            channel = self._build(spec, key, settings, around)
            await channel.open()
        except (errors.ServiceError, ConfigurationError) as error:
            log.warning("account cannot be opened", channel=account.channel, account=account.account)
            return str(error)
        self._channels[key] = channel
        self._pull(key)
        return ""

    async def _shut(self, key: Key) -> None:
        task = self._tasks.pop(key, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._demo.discard(key)
        channel = self._channels.pop(key, None)
        if channel is not None:
            await channel.close()

    def _pull(self, key: Key) -> None:
        if self._door is not None and isinstance(self._channels[key], Pulling) and key not in self._tasks:
            self._tasks[key] = asyncio.create_task(self._keep_pulling(key), name=f"pull {key[1]}")

    async def _keep_pulling(self, key: Key) -> None:
        """A channel that stumbles begins again at its stored cursor."""
        while True:
            channel, door = self._channels[key], self._door
            assert isinstance(channel, Pulling)
            assert door is not None
            try:
                await channel.pull(door)
            except (errors.ServiceError, OSError) as error:
                log.warning("fetching stopped", channel=key[1], error=type(error).__name__)
            await asyncio.sleep(RESTART_SECONDS)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(SYNC_SECONDS)
            try:
                await self.sync()
            except errors.UpstreamUnavailable as error:
                log.warning("accounts could not be read", code=error.code)


def build(
    settings: Settings, specs: Sequence[ChannelSpec], *, database: Database, vault: Vault, hub: Hub, clock: Clock
) -> ChannelSet:  # fmt: skip
    """Every channel that the settings name, shut still."""
    surroundings = {
        tenant: Surroundings(
            tenant=tenant, public_url=settings.address, database=database, vault=vault, hub=hub, clock=clock,
            data_dir=settings.data_dir, origins=tuple(settings.widget_origins),
            identity_keys=keys.identity_keys(settings, vault),
        )
        for tenant in map(TenantId, settings.tenants)
    }  # fmt: skip
    found = ChannelSet(specs, surroundings, database)
    found.configure(names_to_open(settings, specs))
    return found
