"""How accounts of channels do: traffic by account, failures, dead letters, tokens, windows, refused calls and addresses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from channels import accounts, records
from channels.adapters import aligenie, app, email, sms_tencent, wechat_oa
from channels.contract import ChannelSpec, Surroundings
from channels.platforms.shelf import REFUSED, Shelf
from channels.refusals import Refusals
from foundation import conversations, errors
from foundation.bus.records import DEAD, outbox_table
from foundation.clock import to_milliseconds
from foundation.conversations import DeliveryState, Draft
from foundation.live import Hub
from foundation.messages import ConversationId, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from operations.channel_desk import AccountStatus, ChannelDesk
from service.channel_set import ChannelSet
from tests.conftest import StandingClock
from tests.unit.operations.conftest import OTHER_TENANT

TENANT = TenantId("demo")
SPECS = (wechat_oa.SPEC, email.SPEC, sms_tencent.SPEC, aligenie.SPEC, app.SPEC)
SECOND = {"app_id": "wx2", "app_secret": "s", "token": "t", "mode": "plain"}
PATH = "a-path-that-nobody-guesses"


class House:
    def __init__(self, database: Database, vault: Vault, clock: StandingClock) -> None:
        self.database, self.clock = database, clock
        around = Surroundings(TENANT, "https://care.example.com", database, vault, Hub(), clock)
        other = Surroundings(OTHER_TENANT, "https://care.example.com", database, vault, Hub(), clock)
        self.channels = ChannelSet(SPECS, {TENANT: around, OTHER_TENANT: other}, database)
        self.channels.configure([spec.name for spec in SPECS])
        self.refusals = Refusals(database, clock)
        self.desk = ChannelDesk(SPECS, self.channels, database, clock=clock, counted=self.refusals)

    async def status(self, channel: str, account: str = "main", tenant: TenantId = TENANT) -> AccountStatus:
        found = await self.desk.overview(tenant)
        return next(one for one in found if (one.channel, one.account) == (channel, account))

    async def add(self, spec: ChannelSpec, account: str, values: dict[str, str]) -> None:
        await self.database.write(
            lambda connection: accounts.save(connection, TENANT, spec, account, values, now=self.clock())
        )
        await self.channels.sync()

    async def talk(
        self, name: str, replies: list[DeliveryState], *, account: str = "main", channel: str = "wechat_oa"
    ) -> ConversationId:
        """A customer writes and replies go out, each half a minute after the one before."""
        conversation_id, start = ConversationId(name), self.clock()

        def write(connection: sa.Connection) -> None:
            conversations.ensure(
                connection, conversation_id, tenant=TENANT, channel=channel, account=account, recipient="r",
                now=start,
            )  # fmt: skip
            conversations.append(
                connection, TENANT, conversation_id, Draft(id="in", role="customer", text="?", sent_at=start)
            )
            for number, state in enumerate(replies):
                at = start + timedelta(seconds=30 * (number + 1))
                draft = Draft(id=f"m-{number}", role="bot", text="!", sent_at=at, state=state)
                conversations.append(connection, TENANT, conversation_id, draft)
                if state != "failed":
                    records.remember_sent(
                        connection, TENANT, conversation_id, draft.id, part=0, provider_id="p", now=at
                    )

        await self.database.write(write)
        return conversation_id


@pytest.fixture
async def house(either_database: Database, vault: Vault, clock: StandingClock) -> AsyncIterator[House]:
    made = House(either_database, vault, clock)
    await made.channels.open()
    yield made
    await made.refusals.close()
    await made.channels.close()


async def test_traffic_is_counted_by_account_and_for_a_day(house: House, clock: StandingClock) -> None:
    await house.add(wechat_oa.SPEC, "shop-2", SECOND)
    await house.talk("old", ["failed", "sent"])
    clock.move(hours=30)
    await house.talk("a", ["sent", "delivered", "failed"])
    await house.talk("b", ["read"])
    await house.talk("c", ["sent"], account="shop-2")
    main, second = await house.status("wechat_oa"), await house.status("wechat_oa", "shop-2")
    assert (main.traffic.sent, main.traffic.failed, main.error_rate) == (3, 1, 0.25)
    assert (second.traffic.sent, second.traffic.failed, second.error_rate) == (1, 0, 0.0)
    assert main.traffic.last_in == clock()
    assert main.traffic.last_out == clock() + timedelta(seconds=60)
    foreign = await house.status("wechat_oa", tenant=OTHER_TENANT)
    assert (foreign.traffic.sent, foreign.traffic.last_in) == (0, None)


async def test_windows_count_who_can_be_answered_and_who_has_no_reply_left(
    house: House, clock: StandingClock
) -> None:
    await house.talk("closed", ["sent"])
    clock.move(hours=49)
    await house.talk("full", ["sent"] * 5)
    clock.move(minutes=10)
    newest = await house.talk("fresh", ["sent", "failed"])
    windows = (await house.status("wechat_oa")).windows
    assert windows is not None
    assert (windows.quota, windows.open, windows.used_up) == (5, 2, 1)
    found = await house.desk.open_windows(TENANT, "wechat_oa", "main")
    assert [(one.conversation_id, one.used) for one in found] == [(newest, 1), ("full", 5)]
    assert found[0].closes_at == clock() + timedelta(hours=48)
    assert (await house.status("email")).windows is None
    assert await house.desk.open_windows(TENANT, "email", "main") == []


async def test_token_tells_when_it_came_and_why_the_next_one_did_not(
    house: House, clock: StandingClock
) -> None:
    async def fetch() -> tuple[str, float]:
        return "the-token-itself", 7200.0

    async def refuse() -> tuple[str, float]:
        raise errors.UpstreamRefused("No such application.", code="wechat_oa_credentials")

    shelf = Shelf("wechat_oa", house.channels.surroundings(TENANT))
    await shelf.write("cursor", "not a token")
    assert (await house.status("wechat_oa")).tokens == []
    came = clock()
    token = await shelf.token(fetch)
    (good,) = (await house.status("wechat_oa")).tokens
    assert (good.fetched_at, good.failed_at, good.is_failing()) == (came, None, False)
    assert good.expires_at == came + timedelta(seconds=6900)
    clock.move(minutes=1)
    await shelf.token(fetch, refused=token)
    (again,) = (await house.status("wechat_oa")).tokens
    assert (again.failed_at, again.failure, again.is_failing()) == (clock(), REFUSED, False)
    clock.move(hours=3)
    with pytest.raises(errors.UpstreamRefused):
        await shelf.token(refuse)
    (bad,) = (await house.status("wechat_oa")).tokens
    assert (bad.failure, bad.is_failing()) == ("wechat_oa_credentials", True)
    assert "the-token-itself" not in repr(bad)
    assert (await house.status("wechat_oa", tenant=OTHER_TENANT)).tokens == []


async def test_refused_calls_are_counted_for_a_day_by_account_and_code(
    house: House, clock: StandingClock
) -> None:
    house.refusals.note(TENANT, "wechat_oa", "main", "bad_signature")
    await house.refusals.flush()
    clock.move(hours=26)
    for code in ("bad_signature", "bad_signature", "replayed"):
        house.refusals.note(TENANT, "wechat_oa", "main", code)
        await house.refusals.flush()
    house.refusals.note(TENANT, "wechat_oa", "shop-2", "bad_signature")
    assert (await house.status("wechat_oa")).refused == {"bad_signature": 2, "replayed": 1}
    assert (await house.status("wechat_oa", tenant=OTHER_TENANT)).refused == {}


async def test_dead_letters_stand_at_the_account_of_their_conversation(house: House) -> None:
    lane, now = await house.talk("a", ["failed"]), to_milliseconds(house.clock())
    row = {
        "tenant": TENANT, "lane": lane, "seq": 1, "part": 0, "idempotency_key": "k", "payload": "{}", "trace": "",
        "created_at": now, "state": DEAD, "next_at": now,
    }  # fmt: skip

    await house.database.write(lambda connection: connection.execute(sa.insert(outbox_table).values(**row)))
    assert (await house.status("wechat_oa")).traffic.dead == 1
    assert (await house.status("email")).traffic.dead == 0


async def test_address_carries_its_secret_where_the_platform_signs_nothing(house: House) -> None:
    hook = "https://care.example.com/v1/hooks/demo"
    settings = {name: "x" for name in ("secret_id", "secret_key", "app_id", "template_id", "sign_name")}
    await house.add(sms_tencent.SPEC, "shop-2", settings | {"path_secret": PATH})
    await house.add(aligenie.SPEC, "shop-2", {"path_secret": PATH})
    sms, speaker = await house.status("sms_tencent", "shop-2"), await house.status("aligenie", "shop-2")
    assert (sms.hook, sms.hook_is_secret) == (f"{hook}/sms_tencent/shop-2?key={PATH}", True)
    assert (speaker.hook, speaker.hook_is_secret) == (f"{hook}/aligenie/shop-2?secret={PATH}", True)
    main = await house.status("sms_tencent")
    assert main.hook.startswith(f"{hook}/sms_tencent/")
    assert (main.hook_is_secret, main.is_demo, sms.is_demo) == (True, True, False)
    plain, none = await house.status("wechat_oa"), await house.status("email")
    assert (plain.hook, plain.hook_is_secret) == (f"{hook}/wechat_oa", False)
    assert (none.hook, none.hook_is_secret) == ("", False)
    own = await house.status("app")
    assert (own.hook, own.hook_is_secret) == ("https://care.example.com/t/demo/v1/app/main", False)
