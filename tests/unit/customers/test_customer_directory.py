"""Who somebody is: identities, proofs, their end, and customers that stay apart."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from customers import changed, records
from customers.changed import Stage
from customers.directory import ACCOUNT, MESSAGE_PROOF_SECONDS, Directory, Person, Proof
from customers.graph import records as graph_records
from foundation import conversations, errors
from foundation.messages import ConversationId, Identifier
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock
from tests.unit.customers.conftest import (
    CLAIMED,
    DEMO,
    DEMO1,
    DEMO2,
    FIRST,
    OPENID,
    SECOND,
    VISITOR,
    Resolve,
    message,
)


async def prove(
    database: Database,
    directory: Directory,
    account: str,
    conversation: ConversationId = FIRST,
    seconds: int = 60,
) -> None:
    await database.write(
        lambda c: directory.prove(
            c, DEMO, conversation, account=account, method="test", valid_seconds=seconds
        )
    )


async def test_same_customer_is_found_when_the_same_identity_writes_in_two_conversations(
    resolve: Resolve,
) -> None:
    one, two = await resolve(OPENID), await resolve(OPENID, conversation=SECOND)
    assert (one.customer_id, one.identity_id) == (two.customer_id, two.identity_id)
    assert (one.proof, one.account, one.display_name) == (Proof.CHANNEL, None, "")


async def test_nothing_changes_when_a_message_is_resolved_again(
    resolve: Resolve, database: Database, clock: StandingClock
) -> None:
    sent_at = clock()
    first = await resolve(VISITOR, DEMO1)
    before = await database.read(_everything)
    clock.move(minutes=5)
    again = await resolve(VISITOR, DEMO1, sent_at=sent_at)
    assert again == first
    assert await database.read(_everything) == before


async def test_identity_is_one_when_fifty_conversations_see_it_at_once(
    resolve: Resolve, database: Database
) -> None:
    people = await asyncio.gather(
        *(resolve(OPENID, DEMO1, conversation=ConversationId(f"c-{number}")) for number in range(50))
    )
    assert len({(person.customer_id, person.identity_id) for person in people}) == 1
    identities = await database.read(lambda c: c.execute(sa.select(graph_records.identity_table.c.id)).all())
    assert len(identities) == 2


async def test_upserts_agree_on_both_databases_when_they_race(
    either_database: Database, vault: Vault, clock: StandingClock
) -> None:
    directory = Directory(either_database, vault, clock)
    received = message(OPENID, DEMO1, sent_at=clock())

    async def resolve_in(number: int) -> str:
        name = ConversationId(f"c-{number}")
        person = await either_database.write(lambda c: directory.resolve(c, DEMO, received, name))
        return person.customer_id

    customers = await asyncio.gather(*(resolve_in(number % 3) for number in range(24)))
    assert len(set(customers)) == 1


async def test_account_is_proven_when_the_channel_checked_the_token(resolve: Resolve) -> None:
    person = await resolve(VISITOR, DEMO1)
    assert (person.account, person.proof, person.display_name) == ("demo1", Proof.ACCOUNT, "demo1")


async def test_conversation_shows_the_accounts_customer_when_it_is_proven(
    resolve: Resolve, database: Database, directory: Directory
) -> None:
    alone = await resolve(OPENID)
    await prove(database, directory, "demo1")
    conversation = await database.read(lambda c: conversations.get(c, DEMO, FIRST))
    person = await database.read(lambda c: directory.person(c, DEMO, FIRST))
    account = await database.read(lambda c: directory.graph.find_account(c, DEMO, "demo1"))
    assert account is not None
    assert person.customer_id == conversation.customer_id == account.customer_id
    assert person.identity_id == alone.identity_id


async def test_two_channels_are_one_customer_when_both_proved_the_same_account(
    resolve: Resolve, database: Database, directory: Directory
) -> None:
    await resolve(OPENID)
    await prove(database, directory, "demo1")
    on_the_web = await resolve(VISITOR, DEMO1, conversation=SECOND)
    on_wechat = await resolve(OPENID)
    assert on_the_web.customer_id == on_wechat.customer_id


async def test_customers_stay_apart_when_two_accounts_sign_in_on_one_device(
    resolve: Resolve, database: Database, directory: Directory, clock: StandingClock
) -> None:
    first = await resolve(VISITOR, DEMO1)
    clock.move(seconds=30)
    second = await resolve(VISITOR, DEMO2)
    assert (first.account, second.account) == ("demo1", "demo2")
    assert first.customer_id != second.customer_id
    elsewhere = await resolve(OPENID, DEMO1, conversation=SECOND)
    assert elsewhere.customer_id == first.customer_id
    current = await database.read(lambda c: directory.person(c, DEMO, FIRST))
    assert current.account == "demo2"


async def test_newest_proof_decides_when_both_come_in_the_same_moment(
    resolve: Resolve, database: Database, directory: Directory
) -> None:
    await resolve(OPENID)
    await prove(database, directory, "demo1", seconds=3600)
    await prove(database, directory, "demo2", seconds=60)
    assert (await database.read(lambda c: directory.person(c, DEMO, FIRST))).account == "demo2"


async def test_older_proof_does_not_come_back_when_the_newest_has_expired(
    resolve: Resolve, database: Database, directory: Directory, clock: StandingClock
) -> None:
    await resolve(OPENID)
    await prove(database, directory, "demo1", seconds=3600)
    clock.move(seconds=1)
    await prove(database, directory, "demo2", seconds=60)
    clock.move(seconds=60)
    person = await database.read(lambda c: directory.person(c, DEMO, FIRST))
    assert (person.account, person.proof) == (None, Proof.CHANNEL)


async def test_proof_ends_when_its_time_is_over(resolve: Resolve, clock: StandingClock) -> None:
    await resolve(VISITOR, DEMO1)
    clock.move(seconds=MESSAGE_PROOF_SECONDS - 1)
    assert (await resolve(VISITOR)).account == "demo1"
    clock.move(seconds=1)
    assert (await resolve(VISITOR)).account is None


async def test_one_row_is_kept_when_a_session_proves_with_every_message(
    resolve: Resolve, database: Database, clock: StandingClock
) -> None:
    for _ in range(5):
        await resolve(VISITOR, DEMO1)
        clock.move(minutes=20)
    rows = await database.read(lambda c: c.execute(sa.select(records.assurance_table)).all())
    assert len(rows) == 1


async def test_longer_proof_is_not_shortened_when_a_shorter_one_follows(
    resolve: Resolve, database: Database, directory: Directory, clock: StandingClock
) -> None:
    await resolve(OPENID)
    await prove(database, directory, "demo1", seconds=7200)
    clock.move(minutes=1)
    await prove(database, directory, "demo1", seconds=60)
    clock.move(minutes=30)
    assert (await resolve(OPENID)).account == "demo1"


async def test_old_message_proves_nothing_anew_when_it_is_worked_late(
    resolve: Resolve, clock: StandingClock
) -> None:
    person = await resolve(VISITOR, DEMO1, sent_at=clock() - timedelta(hours=2))
    assert (person.account, person.proof) == (None, Proof.CHANNEL)


async def test_old_message_does_not_take_the_conversation_back_when_it_is_worked_again(
    resolve: Resolve, clock: StandingClock
) -> None:
    early = clock()
    await resolve(VISITOR, DEMO1)
    clock.move(minutes=1)
    await resolve(VISITOR, DEMO2)
    assert (await resolve(VISITOR, DEMO1, sent_at=early)).account == "demo2"


async def test_account_alone_is_the_identity_when_the_channel_knows_no_other(resolve: Resolve) -> None:
    person = await resolve(DEMO1)
    assert (person.account, person.proof) == ("demo1", Proof.ACCOUNT)


async def test_proof_counts_when_it_comes_before_the_first_message(
    resolve: Resolve, database: Database, directory: Directory
) -> None:
    await prove(database, directory, "demo1")
    before = await database.read(lambda c: directory.person(c, DEMO, FIRST))
    after = await resolve(OPENID)
    assert before.account == after.account == "demo1"
    assert before.customer_id == after.customer_id


async def test_display_name_is_shown_when_the_sign_in_gave_one(
    resolve: Resolve, database: Database, directory: Directory
) -> None:
    await resolve(OPENID)
    person = await database.write(
        lambda c: directory.prove(
            c, DEMO, FIRST, account="demo1", method="test", valid_seconds=60, display_name="王小明"
        )
    )
    assert person.display_name == "王小明"


async def test_language_is_the_conversations_when_it_has_one(
    resolve: Resolve, database: Database, directory: Directory, clock: StandingClock
) -> None:
    await resolve(OPENID)
    await database.write(lambda c: conversations.change(c, DEMO, FIRST, clock(), language="en"))
    assert (await resolve(OPENID)).language == "en"
    assert (await resolve(CLAIMED)).language == "en"


async def test_nobody_is_found_when_the_conversation_is_unknown(
    directory: Directory, database: Database
) -> None:
    assert await directory.find_person(DEMO, FIRST) is None
    with pytest.raises(errors.NotFound):
        await database.read(lambda c: directory.person(c, DEMO, FIRST))


async def test_pages_find_the_person_when_the_conversation_is_known(
    directory: Directory, resolve: Resolve
) -> None:
    assert await directory.find_person(DEMO, FIRST) is None
    assert await resolve(OPENID) == await directory.find_person(DEMO, FIRST)


@pytest.mark.parametrize(
    ("account", "seconds"), [("", 60), ("  ", 60), ("x" * 201, 60), ("demo1", 0), ("demo1", 86_401)]
)
async def test_proof_is_refused_when_it_makes_no_sense(
    database: Database, directory: Directory, account: str, seconds: int
) -> None:
    with pytest.raises(errors.InvalidInput):
        await prove(database, directory, account, seconds=seconds)


async def test_values_are_sealed_when_they_are_stored(resolve: Resolve, database: Database) -> None:
    await resolve(OPENID, DEMO1)
    rows = await database.read(lambda c: c.exec_driver_sql("SELECT * FROM identity").all())
    assert len(rows) == 2
    assert "oAbC-123" not in repr(rows)
    assert "demo1" not in repr(rows)


def _everything(connection: sa.Connection) -> list[object]:
    tables = (graph_records.identity_table, records.entrance_table, records.assurance_table)
    return [tuple(row) for table in tables for row in connection.execute(sa.select(table))]


async def test_a_first_message_and_a_first_claim_are_known_as_the_first_on_both_engines(
    either_database: Database, vault: Vault, clock: StandingClock
) -> None:
    directory = Directory(either_database, vault, clock)

    def meet(connection: sa.Connection, conversation: ConversationId, *sender: Identifier) -> Person:
        conversations.ensure(
            connection, conversation, tenant=DEMO, channel="wechat_oa", account="gh_1", recipient="r", now=clock()
        )  # fmt: skip
        return directory.resolve(connection, DEMO, message(*sender, sent_at=clock()), conversation)

    await prove(either_database, directory, "demo1")
    met = await either_database.write(lambda c: meet(c, FIRST, OPENID))
    whole = await either_database.read(lambda c: directory.graph.component(c, DEMO, met.identity_id))
    assert {one.namespace for one in whole.members} == {OPENID.namespace, ACCOUNT}
    said = await either_database.write(lambda c: meet(c, SECOND, VISITOR, CLAIMED))
    waiting = await either_database.read(lambda c: changed.waiting(c, DEMO, Stage.INDEX, limit=10))
    assert said.identity_id in {one.identity_id for one in waiting}
