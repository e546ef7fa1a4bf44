"""Logging in: what locks, what is told, how long a token lives, what a role may do."""

from __future__ import annotations

import asyncio

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from foundation import errors
from foundation.messages import TenantId
from operations.staff import FAILURES_BEFORE_LOCK, LOCK, PERMISSIONS, TOKEN_LIFE, Member
from tests.unit.operations.conftest import PASSWORD, Office


async def test_right_password_logs_in_whatever_the_case_of_the_login(office: Office) -> None:
    mei = await office.hire("mei")
    assert await office.staff.log_in(office.tenant, " MEI ", PASSWORD) == mei


async def test_answer_is_the_same_when_login_is_unknown_password_wrong_or_account_locked(
    office: Office,
) -> None:
    await office.hire("mei")
    wrong = await _refusal(office, "mei", "not the password")
    unknown = await _refusal(office, "nobody", PASSWORD)
    for _ in range(FAILURES_BEFORE_LOCK):
        await _refusal(office, "mei", "not the password")
    locked = await _refusal(office, "mei", PASSWORD)
    assert wrong == unknown == locked


async def test_account_locks_after_failures_and_opens_again_when_the_time_is_over(office: Office) -> None:
    await office.hire("mei")
    for _ in range(FAILURES_BEFORE_LOCK):
        await _refusal(office, "mei", "not the password")
    await _refusal(office, "mei", PASSWORD)
    office.clock.move(seconds=LOCK.total_seconds() + 1)
    assert (await office.staff.log_in(office.tenant, "mei", PASSWORD)).login == "mei"


async def test_guesses_at_once_are_counted_one_by_one(office: Office) -> None:
    await office.hire("mei")
    await asyncio.gather(*(_refusal(office, "mei", f"guess {n}") for n in range(FAILURES_BEFORE_LOCK)))
    await _refusal(office, "mei", PASSWORD)


async def test_failures_are_forgotten_when_the_right_password_comes(office: Office) -> None:
    await office.hire("mei")
    for _ in range(3):
        for _ in range(FAILURES_BEFORE_LOCK - 1):
            await _refusal(office, "mei", "not the password")
        await office.staff.log_in(office.tenant, "mei", PASSWORD)


async def test_login_of_one_tenant_opens_nothing_in_another(office: Office) -> None:
    await office.hire("mei")
    with pytest.raises(errors.NotAuthentic):
        await office.staff.log_in(TenantId("other"), "mei", PASSWORD)


async def test_token_ends_when_its_life_is_over(office: Office) -> None:
    mei = await office.hire("mei")
    token = office.staff.token(mei)
    assert await office.staff.from_token(token) == mei
    office.clock.move(seconds=TOKEN_LIFE.total_seconds())
    with pytest.raises(errors.NotAuthentic):
        await office.staff.from_token(token)


async def test_token_ends_when_the_account_is_switched_off(office: Office) -> None:
    boss, mei = await office.hire("boss", "admin"), await office.hire("mei")
    token = office.staff.token(mei)
    await office.staff.set_active(boss, mei.id, active=False)
    with pytest.raises(errors.NotAuthentic):
        await office.staff.from_token(token)
    await _refusal(office, "mei", PASSWORD)
    await office.staff.set_active(boss, mei.id, active=True)
    assert await office.staff.from_token(token) == mei
    assert (await office.actions())[-2:] == ["staff.switched_off", "staff.switched_on"]


async def test_nobody_switches_off_their_own_account_or_one_that_is_not_there(office: Office) -> None:
    boss = await office.hire("boss", "admin")
    with pytest.raises(errors.Conflict):
        await office.staff.set_active(boss, boss.id, active=False)
    with pytest.raises(errors.NotFound):
        await office.staff.set_active(boss, "nobody", active=False)
    with pytest.raises(errors.NotPermitted):
        await office.staff.set_active(await office.hire("mei", "manager"), boss.id, active=False)


@pytest.mark.parametrize(
    "changes", [{"aud": "huiliu"}, {"exp": None}, {"sub": "somebody"}, {"tenant": "other"}]
)
async def test_token_with_other_claims_is_refused(office: Office, changes: dict[str, str | None]) -> None:
    mei = await office.hire("mei")
    key = OctKey.import_key(office.database.vault.signing_key)
    claims = {**jwt.decode(office.staff.token(mei), key, algorithms=["HS256"]).claims, **changes}
    forged = jwt.encode({"alg": "HS256"}, {name: value for name, value in claims.items() if value}, key)
    with pytest.raises(errors.NotAuthentic):
        await office.staff.from_token(forged)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é.ü.ö", "e30.e30."])
async def test_rubbish_is_no_token(office: Office, token: str) -> None:
    with pytest.raises(errors.NotAuthentic):
        await office.staff.from_token(token)


async def test_taken_login_and_weak_password_and_unknown_role_are_refused(office: Office) -> None:
    await office.hire("mei")
    with pytest.raises(errors.Conflict, match="taken"):
        await office.hire("MEI ")
    with pytest.raises(errors.InvalidInput, match="10 characters"):
        await office.staff.add(
            office.tenant, login="li", name="Li", role="agent", password="short", actor="test"
        )
    with pytest.raises(errors.InvalidInput, match="no role"):
        await office.staff.add(
            office.tenant, login="li", name="Li", role="king", password=PASSWORD, actor="test"  # type: ignore[arg-type]
        )  # fmt: skip


async def test_first_account_is_made_once(office: Office) -> None:
    await office.staff.ensure_first(office.tenant, PASSWORD)
    await office.staff.ensure_first(office.tenant, "another password")
    assert [member.login for member in await office.staff.members(office.tenant)] == ["admin"]
    assert (await office.staff.log_in(office.tenant, "admin", PASSWORD)).role == "admin"


def test_each_role_has_its_powers_and_no_more() -> None:
    def may(role: str) -> frozenset[str]:
        return frozenset(PERMISSIONS[role])  # type: ignore[index]  # the keys of the table

    assert may("agent") == {"desk.read", "desk.reply"}
    assert not may("editor") & {"desk.reply", "desk.approve", "staff.manage"}
    assert may("qa") == {"quality.run", "desk.read"}
    assert may("admin") - may("manager") == {"staff.manage", "keys.rotate"}
    member = Member(TenantId("demo"), "1", "mei", "Mei", "agent")
    with pytest.raises(errors.NotPermitted):
        member.require("desk.approve")


async def _refusal(office: Office, login: str, password: str) -> tuple[str, str, int]:
    with pytest.raises(errors.NotAuthentic) as caught:
        await office.staff.log_in(office.tenant, login, password)
    return caught.value.public_text, caught.value.code, caught.value.status
