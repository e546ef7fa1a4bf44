"""What a conversation tells about its customer: noted with the turn, seen within the turn, and of use at the desk."""

from __future__ import annotations

import sqlalchemy as sa

from agent import customer
from agent.customer import Customer
from customers.directory import Proof
from customers.matching.online import Matcher
from customers.profile.facts import Fact
from customers.profile.orders import OrderNotes
from customers.profile.profile import Profile, Profiles
from foundation import conversations
from foundation.bus.embedded import EmbeddedBus
from foundation.events import ConversationReturned
from foundation.live import Hub
from foundation.messages import ConversationId
from foundation.telemetry import Metrics
from operations.console.reading import DeskReading
from operations.desk import Desk
from operations.identities.person import PersonReading
from operations.staff import Staff
from tests.conftest import StandingClock
from tests.journeys.turns_world import TENANT, World, shop_knowledge, world

__all__ = ["shop_knowledge", "world"]

ANGRY = ("你们太过分了，第三次了还没人管，我要投诉！", "骗子！垃圾客服，再不处理我就去12315投诉你们！")


def profiles_of(world: World) -> Profiles:
    profiles = world.services.profiles
    assert profiles is not None
    return profiles


async def known(world: World, conversation: str = "c1") -> Profile:
    person = await world.directory.find_person(TENANT, ConversationId(conversation))
    assert person is not None
    profiles = profiles_of(world)
    return await world.database.read(
        lambda c: profiles.view(
            c, TENANT, profiles.own(c, TENANT, person.identity_id, person.customer_id, proven=True)
        )
    )


async def desk_view(world: World) -> tuple[Desk, DeskReading]:
    bus = EmbeddedBus(world.database, world.clock)
    desk = Desk(world.database, bus, hub=Hub(), clock=world.clock, metrics=Metrics())
    notes = OrderNotes(world.database, profiles_of(world), world.clock)
    people = PersonReading(world.directory, profiles_of(world), Matcher(world.database.vault, world.clock))
    reading = DeskReading(
        world.database, people, desk=desk, staff=Staff(world.database, world.clock), orders=world.services.orders,
        titles={}, clock=world.clock, notes=notes,
    )  # fmt: skip
    return desk, reading


async def test_two_angry_messages_become_a_complaint_risk_with_reasons_at_the_desk(
    world: World, clock: StandingClock
) -> None:
    await world.say("运费多少", conversation="calm")
    await world.say("转人工", conversation="calm")
    clock.move(minutes=5)
    for text in ANGRY:
        await world.say(text)
        clock.move(seconds=30)
    desk, reading = await desk_view(world)
    view = await reading.view(TENANT, ConversationId("c1"))
    assert view.profile is not None
    risk = view.profile.risks["complaint"]
    assert risk.level == "high"
    assert {"angry", "threats", "complaints"} & {reason.feature for reason in risk.reasons}
    assert "complaint_risk" in {tag.tag for tag in view.profile.tags}
    assert len(view.profile.figures.service.open_since) == 1
    queue = (await desk.inbox(TENANT))["queue"]
    assert [(one.id, one.priority > 0) for one in queue] == [("c1", True), ("calm", False)]


async def test_who_waits_long_enough_comes_first_whatever_the_others_are(
    world: World, clock: StandingClock
) -> None:
    await world.say("转人工", conversation="calm")
    clock.move(hours=2)
    for text in ANGRY:
        await world.say(text)
    desk, _ = await desk_view(world)
    assert [one.id for one in (await desk.inbox(TENANT))["queue"]] == ["calm", "c1"]


async def test_view_of_a_turn_contains_its_own_message_before_it_is_stored(world: World) -> None:
    received = await world.receive(ANGRY[1])
    profiles = profiles_of(world)

    def enter(connection: sa.Connection) -> Customer:
        person = world.directory.resolve(connection, TENANT, received.message, received.conversation_id)
        said = customer.spoken(
            connection, TENANT, received.conversation_id, received.message, seq=received.seq
        )
        return customer.meet(connection, profiles, TENANT, person, said=said, now=world.clock())

    met = await world.database.write(enter)
    understood = (await world.services.understander.understand(ANGRY[1])).to_json()
    assert met.view({}).complaint_risk == "low"
    assert met.view(understood).complaint_risk == "high"
    assert dict((await known(world)).figures.interaction.contacts) == {}
    await world.work(received)
    assert dict((await known(world)).figures.interaction.contacts) == {"web_chat": 1}


async def test_message_is_counted_once_when_its_turn_runs_again(world: World, clock: StandingClock) -> None:
    received = await world.receive("运费多少")
    clock.move(seconds=5)
    again = await world.handle(received, seq=7)
    await world.finish(again)
    profiles = profiles_of(world)
    stored = await known(world)
    assert dict(stored.figures.interaction.contacts) == {"web_chat": 1}
    assert stored.figures.interaction.language.startswith("zh")
    assert profiles is world.services.profiles


async def test_orders_that_the_agent_reads_make_the_value_of_the_account(world: World) -> None:
    await world.say("我的订单到哪了", account="demo1")
    first = (await known(world)).figures.buying
    assert first.orders > 0
    assert first.amount > 0
    await world.say("我的订单到哪了", account="demo1")
    assert (await known(world)).figures.buying.orders == first.orders


async def test_customer_is_called_as_they_wish_only_when_the_account_is_proven(world: World) -> None:
    profiles = profiles_of(world)
    account = profiles.vault.lookup_key("identity", TENANT, "vouched", "account", "demo1")
    stated = Fact(account, "form_of_address", "林女士", "crm", 1, 1.0, world.clock())
    await world.database.write(lambda c: profiles.state(c, TENANT, stated))
    assert (await world.say("转人工", account="demo1")).startswith("林女士，")
    person = await world.directory.find_person(TENANT, ConversationId("c1"))
    assert person is not None
    assert person.proof == Proof.ACCOUNT
    assert not (await world.say("转人工", conversation="c2")).startswith("林女士")


async def test_given_back_conversation_is_no_open_matter_any_more(world: World, clock: StandingClock) -> None:
    await world.say("转人工")
    assert len((await known(world)).figures.service.open_since) == 1
    clock.move(minutes=3)

    def release(connection: sa.Connection) -> None:
        conversations.change(
            connection,
            TENANT,
            ConversationId("c1"),
            clock(),
            holder="bot",
            waiting_since=None,
        )

    await world.database.write(release)
    await world.work(ConversationReturned(tenant=TENANT, conversation_id=ConversationId("c1")))
    shown = await known(world)
    assert shown.figures.service.open_since == ()
    assert (shown.figures.service.opened, shown.figures.service.closed) == (1, 1)


async def test_who_gets_angry_while_waiting_moves_up_and_is_heard(world: World, clock: StandingClock) -> None:
    await world.say("转人工", conversation="first")
    clock.move(minutes=5)
    await world.say("转人工", conversation="second")
    desk, _ = await desk_view(world)
    assert [one.id for one in (await desk.inbox(TENANT))["queue"]] == ["first", "second"]
    await world.say(ANGRY[1], conversation="second")
    queue = (await desk.inbox(TENANT))["queue"]
    assert [one.id for one in queue] == ["second", "first"]
    shown = await known(world, "second")
    assert shown.risks["complaint"].level == "high"
    assert dict(shown.figures.interaction.contacts) == {"web_chat": 2}
