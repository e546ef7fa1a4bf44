"""Tokens and cursors that all processes of an account share: one renewal, however many ask, on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from channels.contract import Surroundings
from channels.platforms.shelf import Shelf
from foundation import errors
from foundation.live import Hub
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock


class Issuer:
    """Gives a new token each time, or fails first."""

    def __init__(self, *, failing: int = 0) -> None:
        self.asked = 0
        self.failing = failing

    async def __call__(self) -> tuple[str, float]:
        self.asked += 1
        await asyncio.sleep(0)
        if self.asked <= self.failing:
            raise errors.UpstreamUnavailable("away", code="away")
        return f"token-{self.asked}", 7200.0


@pytest.fixture
def surroundings(either_database: Database, vault: Vault, clock: StandingClock) -> Surroundings:
    return Surroundings(TenantId("demo"), "https://care.example.com", either_database, vault, Hub(), clock)


async def test_token_is_fetched_once_when_many_ask(surroundings: Surroundings) -> None:
    issuer, shelf = Issuer(), Shelf("pigeons", surroundings)
    tokens = await asyncio.gather(*(shelf.token(issuer) for _ in range(20)))
    assert set(tokens) == {"token-1"}
    assert issuer.asked == 1


async def test_token_is_shared_among_processes(surroundings: Surroundings) -> None:
    issuer = Issuer()
    shelves = [Shelf("pigeons", surroundings) for _ in range(6)]
    tokens = await asyncio.gather(*(shelf.token(issuer) for shelf in shelves))
    assert set(tokens) == {"token-1"}
    assert issuer.asked == 1


async def test_token_that_another_process_has_just_fetched_is_not_fetched_again(
    surroundings: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one finishes between our look and our claim."""
    issuer, mine, other = Issuer(), Shelf("pigeons", surroundings), Shelf("pigeons", surroundings)
    write = surroundings.database.write
    first = True

    async def late(work: Callable[[sa.Connection], object]) -> object:
        nonlocal first
        if first:
            first = False
            await other.token(issuer)
        return await write(work)

    monkeypatch.setattr(surroundings.database, "write", late)
    assert await mine.token(issuer) == "token-1"
    assert issuer.asked == 1


async def test_token_is_renewed_ahead_of_its_end(surroundings: Surroundings, clock: StandingClock) -> None:
    issuer, shelf = Issuer(), Shelf("pigeons", surroundings)
    await shelf.token(issuer)
    clock.move(seconds=6899)
    assert await shelf.token(issuer) == "token-1"
    clock.move(seconds=2)
    assert await shelf.token(issuer) == "token-2"


async def test_refused_token_is_replaced_once_when_many_met_the_refusal(surroundings: Surroundings) -> None:
    issuer = Issuer()
    shelves = [Shelf("pigeons", surroundings) for _ in range(4)]
    await asyncio.gather(*(shelf.token(issuer) for shelf in shelves))
    tokens = await asyncio.gather(*(shelf.token(issuer, refused="token-1") for shelf in shelves))
    assert set(tokens) == {"token-2"}
    assert issuer.asked == 2


async def test_next_caller_tries_again_when_the_platform_was_away(surroundings: Surroundings) -> None:
    issuer, shelf = Issuer(failing=1), Shelf("pigeons", surroundings)
    with pytest.raises(errors.UpstreamUnavailable):
        await shelf.token(issuer)
    assert await shelf.token(issuer) == "token-2"


async def test_claim_of_a_dead_process_ends(surroundings: Surroundings, clock: StandingClock) -> None:
    class Dies(Exception): ...

    async def die() -> tuple[str, float]:
        raise Dies

    with pytest.raises(Dies):
        await Shelf("pigeons", surroundings).token(die)
    clock.move(seconds=16)
    assert await Shelf("pigeons", surroundings).token(Issuer()) == "token-1"


async def test_cursor_is_kept_by_account(surroundings: Surroundings) -> None:
    mine = Shelf("pigeons", surroundings)
    assert await mine.read("cursor") == ""
    await mine.write("cursor", "17")
    await mine.write("cursor", "18")
    assert await Shelf("pigeons", surroundings).read("cursor") == "18"
    assert await Shelf("doves", surroundings).read("cursor") == ""
