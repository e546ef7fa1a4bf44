"""The channels that are open in a process: which the settings open, accounts that come and go, and fetching that stumbles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import BaseModel

from channels import accounts
from channels.contract import Capabilities, Channel, ChannelSpec, Door, Surroundings
from foundation import errors
from foundation.errors import ConfigurationError
from foundation.live import Hub
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.settings import load
from foundation.storage.database import Database
from service import channel_set
from service.channel_set import ChannelSet, names_to_open
from tests.conftest import StandingClock
from tests.unit.channels.test_delivery import Pigeons

TENANT = TenantId("demo")


class LoftSettings(BaseModel):
    loft: str = ""
    broken: bool = False


class Loft(Pigeons):
    """Fetches; stumbles as often as `stumbles` says."""

    def __init__(self, surroundings: Surroundings, settings: LoftSettings) -> None:
        super().__init__(Capabilities(text_limit=100), name="pigeons")
        self.account = surroundings.account
        self.settings = settings
        self.closed = False
        self.stumbles = 1
        self.pulls = 0
        self.pulling = asyncio.Event()

    async def open(self) -> None:
        if self.settings.broken:
            raise errors.UpstreamRefused("The loft has no door.", code="pigeons_no_door")

    async def close(self) -> None:
        self.closed = True

    async def pull(self, door: Door) -> None:
        self.pulls += 1
        if self.pulls <= self.stumbles:
            raise errors.UpstreamUnavailable("fog", code="pigeons_fog")
        self.pulling.set()
        await asyncio.Event().wait()


def build(settings: BaseModel, surroundings: Surroundings) -> Channel:
    assert isinstance(settings, LoftSettings)
    return Loft(surroundings, settings)


SPEC = ChannelSpec("pigeons", LoftSettings, build, {"zh": "信鸽", "en": "Pigeons"})
SHUT = ChannelSpec("doves", LoftSettings, build, {"zh": "鸽子", "en": "Doves"}, closed="Doves carry nothing.")


@pytest.fixture
async def lofts(database: Database, vault: Vault, clock: StandingClock) -> AsyncIterator[ChannelSet]:
    surroundings = Surroundings(TENANT, "https://care.example.com", database, vault, Hub(), clock)
    found = ChannelSet([SPEC, SHUT], {TENANT: surroundings}, database)
    found.configure(["pigeons"])
    await found.open()
    yield found
    await found.close()


async def add(database: Database, clock: StandingClock, account: str, **values: object) -> None:
    clock.move(seconds=1)
    await database.write(
        lambda connection: accounts.save(connection, TENANT, SPEC, account, dict(values), now=clock())
    )


async def test_account_opens_changes_and_closes_while_others_stay(
    lofts: ChannelSet, database: Database, clock: StandingClock
) -> None:
    main = lofts[TENANT, "pigeons"]
    await add(database, clock, "north", loft="a")
    await lofts.sync()
    first = lofts[TENANT, "pigeons:north"]
    assert isinstance(first, Loft)
    assert (first.account, first.settings.loft) == ("north", "a")
    await lofts.sync()
    assert lofts[TENANT, "pigeons:north"] is first
    await add(database, clock, "north", loft="b")
    await lofts.sync()
    assert first.closed
    assert lofts[TENANT, "pigeons:north"] is not first
    await database.write(lambda connection: accounts.remove(connection, TENANT, "pigeons", "north"))
    await lofts.sync()
    assert list(lofts) == [(TENANT, "pigeons")]
    assert lofts[TENANT, "pigeons"] is main


async def test_account_that_cannot_be_opened_is_named_and_disturbs_nobody(
    lofts: ChannelSet, database: Database, clock: StandingClock
) -> None:
    await add(database, clock, "north", broken=True)
    await add(database, clock, "south")
    await lofts.sync()
    assert "no door" in lofts.problem(TENANT, "pigeons", "north")
    assert lofts.problem(TENANT, "pigeons", "south") == ""
    assert set(lofts) == {(TENANT, "pigeons"), (TENANT, "pigeons:south")}


async def test_fetching_begins_again_when_it_stumbled_and_ends_with_the_account(
    lofts: ChannelSet, database: Database, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_set, "RESTART_SECONDS", 0.0)
    await add(database, clock, "north")
    await lofts.sync()
    loft = lofts[TENANT, "pigeons:north"]
    assert isinstance(loft, Loft)
    assert loft.pulls == 0
    lofts.start(NoDoor())  # type: ignore[arg-type]  # nothing comes through it
    await loft.pulling.wait()
    assert loft.pulls == 2
    await database.write(lambda connection: accounts.remove(connection, TENANT, "pigeons", "north"))
    await lofts.sync()
    assert loft.closed


class NoDoor:
    """Nothing comes through it."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(name)


def test_settings_name_the_channels_that_open() -> None:
    specs = [SPEC, SHUT]
    assert names_to_open(load(channels=["pigeons"]), specs) == ["pigeons"]
    assert names_to_open(load(channels=[]), specs) == ["pigeons"]
    with pytest.raises(ConfigurationError, match="Doves carry nothing"):
        names_to_open(load(channels=["doves"]), specs)
    with pytest.raises(ConfigurationError, match="owls"):
        names_to_open(load(channels=["owls"]), specs)


def test_production_opens_only_what_has_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    production = load().model_copy(update={"environment": "production"})
    assert names_to_open(production, [SPEC, SHUT]) == []
    monkeypatch.setenv("HUILIU_PIGEONS_LOFT", "a")
    assert names_to_open(production, [SPEC, SHUT]) == ["pigeons"]
