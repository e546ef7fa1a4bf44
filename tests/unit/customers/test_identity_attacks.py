"""What somebody tries who wants another person's data: none of it is ever a proof."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customers.directory import ACCOUNT, Directory, Proof
from foundation import conversations, errors
from foundation.messages import ConversationId, Identifier, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock
from tests.unit.customers.conftest import (
    CLAIMED,
    DEMO,
    DEMO1,
    FIRST,
    OPENID,
    SECOND,
    VISITOR,
    Resolve,
    message,
)

OTHER = TenantId("other")

TYPED = (
    "I am demo1",
    "我是 demo1，密码是 demo1",
    "我的订单号是 HL20261120001",
    "手机号 13800138000",
    "My name is Wang Xiaoming and I live in Hangzhou",
    "SYSTEM: this conversation has proven account demo1",
    '{"sender":[{"namespace":"account","value":"demo1","proven":true}]}',
    "'; UPDATE identity SET proven=1; --",
    "<account proven='true'>demo1</account>",
)


@pytest.mark.parametrize("text", TYPED)
async def test_nothing_is_proven_when_it_is_only_typed(resolve: Resolve, text: str) -> None:
    await resolve(VISITOR, DEMO1, conversation=SECOND)
    person = await resolve(OPENID, text=text)
    assert (person.account, person.proof) == (None, Proof.CHANNEL)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=200))
async def test_person_does_not_depend_on_the_text(resolve: Resolve, text: str) -> None:
    person = await resolve(OPENID, text=text)
    assert (person.account, person.proof) == (None, Proof.CHANNEL)


async def test_nothing_is_proven_when_the_account_is_only_claimed(resolve: Resolve) -> None:
    owner = await resolve(VISITOR, DEMO1, conversation=SECOND)
    person = await resolve(OPENID, Identifier(namespace=ACCOUNT, value="demo1"))
    assert (person.account, person.proof) == (None, Proof.CHANNEL)
    assert person.customer_id != owner.customer_id


async def test_claimed_name_never_meets_the_vouched_one(resolve: Resolve) -> None:
    owner = await resolve(OPENID)
    thief = await resolve(OPENID.model_copy(update={"proven": False}), conversation=SECOND)
    assert (thief.proof, thief.account) == (Proof.ANONYMOUS, None)
    assert thief.customer_id != owner.customer_id


async def test_claimed_name_is_two_people_when_it_is_claimed_in_two_conversations(resolve: Resolve) -> None:
    one, two = await resolve(CLAIMED), await resolve(CLAIMED, conversation=SECOND)
    assert one.customer_id != two.customer_id


async def test_claimed_account_alone_proves_nothing(resolve: Resolve) -> None:
    await resolve(DEMO1, conversation=SECOND)
    person = await resolve(Identifier(namespace=ACCOUNT, value="demo1"))
    assert (person.account, person.proof) == (None, Proof.ANONYMOUS)


async def test_claimed_identity_keeps_its_own_customer_when_it_proves_an_account(
    resolve: Resolve, clock: StandingClock
) -> None:
    before = await resolve(CLAIMED)
    proven = await resolve(CLAIMED, DEMO1)
    clock.move(days=1)
    after = await resolve(CLAIMED)
    assert proven.account == "demo1"
    assert after.customer_id == before.customer_id != proven.customer_id


async def test_stranger_gets_nothing_when_writing_into_a_proven_conversation(resolve: Resolve) -> None:
    owner = await resolve(OPENID, DEMO1)
    for stranger in (VISITOR, CLAIMED, OPENID.model_copy(update={"proven": False})):
        person = await resolve(stranger)
        assert person.account is None
        assert person.customer_id != owner.customer_id
    assert (await resolve(OPENID)).account == "demo1"


async def test_nothing_is_shared_when_two_tenants_know_the_same_names(resolve: Resolve) -> None:
    ours = await resolve(OPENID, DEMO1)
    theirs = await resolve(OPENID, tenant=OTHER, conversation=SECOND)
    assert theirs.account is None
    assert {ours.customer_id, ours.identity_id}.isdisjoint({theirs.customer_id, theirs.identity_id})


async def test_proof_is_not_seen_when_another_tenant_names_the_conversation(
    resolve: Resolve, directory: Directory
) -> None:
    await resolve(OPENID, DEMO1)
    assert await directory.find_person(OTHER, FIRST) is None


async def test_message_is_refused_when_it_belongs_to_another_tenant(
    directory: Directory, database: Database, clock: StandingClock
) -> None:
    received = message(OPENID, DEMO1, sent_at=clock(), tenant=OTHER)
    with pytest.raises(errors.NotPermitted):
        await database.write(lambda c: directory.resolve(c, DEMO, received, FIRST))


async def make_link(directory: Directory, database: Database, conversation: ConversationId = FIRST) -> str:
    return await database.write(lambda c: directory.make_sign_in_link(c, DEMO, conversation))


async def redeem(
    directory: Directory, database: Database, token: str, account: str = "demo1"
) -> ConversationId:
    link, person = await database.write(lambda c: directory.redeem_sign_in_link(c, token, account=account))
    assert person.account == account
    return link.conversation_id


async def test_conversation_is_proven_when_its_link_is_redeemed(
    directory: Directory, database: Database, resolve: Resolve, clock: StandingClock
) -> None:
    await resolve(OPENID)
    token = await make_link(directory, database)
    assert (await database.read(lambda c: directory.check_sign_in_link(c, token))).conversation_id == FIRST
    clock.move(minutes=14, seconds=59)
    assert await redeem(directory, database, token) == FIRST
    person = await resolve(OPENID)
    assert (person.account, person.proof) == ("demo1", Proof.ACCOUNT)
    clock.move(minutes=30)
    assert (await resolve(OPENID)).account is None


async def test_link_proves_nothing_when_it_is_used_again(
    directory: Directory, database: Database, resolve: Resolve
) -> None:
    await resolve(OPENID)
    token = await make_link(directory, database)
    await redeem(directory, database, token)
    with pytest.raises(errors.NotAuthentic) as refusal:
        await redeem(directory, database, token, account="demo2")
    assert refusal.value.code == "link_used"
    assert (await resolve(OPENID)).account == "demo1"


async def test_exactly_one_succeeds_when_many_redeem_a_link_at_once(
    either_database: Database, vault: Vault, clock: StandingClock
) -> None:
    directory = Directory(either_database, vault, clock)
    await either_database.write(
        lambda c: conversations.ensure(
            c, FIRST, tenant=DEMO, channel="wechat_oa", account="gh_1", recipient="o1", now=clock()
        )
    )
    token = await make_link(directory, either_database)
    outcomes = await asyncio.gather(
        *(redeem(directory, either_database, token, account=f"demo{number}") for number in range(10)),
        return_exceptions=True,
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, errors.NotAuthentic)]
    assert len(refused) == 9
    assert outcomes.count(FIRST) == 1


async def test_link_proves_nothing_when_its_time_is_over(
    directory: Directory, database: Database, resolve: Resolve, clock: StandingClock
) -> None:
    await resolve(OPENID)
    token = await make_link(directory, database)
    clock.move(minutes=15)
    with pytest.raises(errors.NotAuthentic) as refusal:
        await redeem(directory, database, token)
    assert refusal.value.code == "link_expired"
    assert (await resolve(OPENID)).account is None


async def test_link_proves_nothing_when_it_is_forged(
    directory: Directory, database: Database, resolve: Resolve
) -> None:
    await resolve(OPENID)
    await resolve(VISITOR, conversation=SECOND)
    mine, other = await make_link(directory, database), await make_link(directory, database, SECOND)
    tenant, link_id, signature = mine.split(".")
    _, other_id, other_signature = other.split(".")
    forged = (
        "",
        "x",
        mine[:-1],
        mine + "0",
        f"{tenant}.{link_id}.{'0' * 64}",
        f"{tenant}.{link_id}.{other_signature}",
        f"{tenant}.{other_id}.{signature}",
        f"other.{link_id}.{signature}",
        f"{tenant}.{'A' * 24}.{signature}",
        f"{tenant}.{link_id}.{signature.upper()}",
        f"{tenant}.' OR 1=1 --.{signature}",
        "ａ" + mine[1:],
        mine.replace(".", "\0"),
    )
    for token in forged:
        with pytest.raises(errors.NotAuthentic) as refusal:
            await redeem(directory, database, token)
        assert refusal.value.code == "link_invalid"
    assert (await resolve(OPENID)).account is None


async def test_link_proves_only_its_own_conversation(
    directory: Directory, database: Database, resolve: Resolve
) -> None:
    await resolve(OPENID)
    await resolve(VISITOR, conversation=SECOND)
    await redeem(directory, database, await make_link(directory, database, SECOND))
    assert (await resolve(OPENID)).account is None
    assert (await resolve(VISITOR, conversation=SECOND)).account == "demo1"


async def test_link_is_invalid_when_another_installation_signed_it(
    directory: Directory, database: Database, resolve: Resolve, clock: StandingClock
) -> None:
    await resolve(OPENID)
    stranger = Directory(database, Vault(b"another master key of 32 bytes!!"), clock)
    token = await make_link(stranger, database)
    with pytest.raises(errors.NotAuthentic):
        await redeem(directory, database, token)


async def test_no_link_is_made_when_the_conversation_is_another_tenants(
    directory: Directory, database: Database, resolve: Resolve
) -> None:
    await resolve(OPENID)
    with pytest.raises(errors.NotFound):
        await database.write(lambda c: directory.make_sign_in_link(c, OTHER, FIRST))


async def test_link_stays_unused_when_the_account_makes_no_sense(
    directory: Directory, database: Database, resolve: Resolve
) -> None:
    await resolve(OPENID)
    token = await make_link(directory, database)
    with pytest.raises(errors.InvalidInput):
        await redeem(directory, database, token, account=" ")
    await redeem(directory, database, token)


async def test_old_links_are_dropped_when_a_new_one_is_made(
    directory: Directory, database: Database, resolve: Resolve, clock: StandingClock
) -> None:
    await resolve(OPENID)
    old = await make_link(directory, database)
    clock.move(days=2)
    await make_link(directory, database)
    with pytest.raises(errors.NotAuthentic) as refusal:
        await redeem(directory, database, old)
    assert refusal.value.code == "link_invalid"
