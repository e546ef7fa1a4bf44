"""Who is who through the whole product: what matching finds by itself, what people decide, and what stays untouched by both."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from foundation import errors
from foundation.settings import load
from service.remotely import customers as commands
from tests.fakes.web_chat_house import free_port, serving
from tests.journeys.conftest import VECTORS, few_articles, opened
from tests.journeys.identities_world import CHEN, KEY, MEI, QIAN, SUN, TENANT, WANG, ZHAO, Shop

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    """One product for all; each test has customers of its own."""
    VECTORS.parent.mkdir(exist_ok=True)
    folder = tmp_path_factory.mktemp("shop")
    listener, port = free_port()
    settings = load(
        data_dir=folder / "var", articles=few_articles(folder / "articles"), channels=["web_chat", "wechat_oa"],
        server_keys={"demo": SecretStr(KEY)}, port=port,
    )  # fmt: skip
    async with opened(settings) as running, serving(running.app, listener):
        yield Shop(running)


async def test_records_that_look_alike_are_asked_about_and_linked_only_by_a_learned_model(shop: Shop) -> None:
    await shop.post("/v1/matching/models/live", version=None, reason="as it comes")
    account = await shop.states("account", "mei-1", **MEI)
    other = await shop.states("wechat", "oXmei", **{**MEI, "name": "林小玉"})
    await shop.compare()
    [pair] = await shop.asked_about(account, other)
    assert {pair["one"], pair["other"]} == {account, other}
    differing = {field["name"] for field in pair["fields"] if field["differs"]}
    assert differing == {"name"}
    assert "13957162043" not in str(pair)
    assert pair["reasons"][0]["bits"] > 0
    await shop.trust_the_matcher()
    await shop.states("account", "wang-1", **WANG)
    third = await shop.states("wechat", "oXwang", **WANG)
    await shop.compare()
    whole = await shop.whole(third)
    linked = next(one for one in whole["identities"] if one["pair"])
    assert (linked["badge"], linked["by"]) == ("likely", "matcher")
    assert linked["score"] >= 0.999
    assert linked["reasons"]
    assert whole["do_not_disclose"]
    assert (await shop.get("/v1/matching/models"))["models"][0]["live"]


async def test_person_decides_about_a_pair_once_and_may_take_it_back(shop: Shop) -> None:
    await shop.post("/v1/matching/models/live", version=None, reason="as it comes")
    account = await shop.states("account", "chen-1", **CHEN)
    other = await shop.states("wechat", "oXchen", **CHEN)
    await shop.compare()
    pair = {"one": account, "other": other}
    assert await shop.refused("/v1/reviews/decide", **pair, same=True, reason=" ") == (422, "reason_missing")
    decided = await shop.post("/v1/reviews/decide", **pair, same=True, reason="same voice on the phone")
    assert decided == {"status": "accepted"}
    assert await shop.refused("/v1/reviews/decide", **pair, same=False, reason="no") == (
        409,
        "already_decided",
    )
    assert await shop.asked_about(account) == []
    whole = await shop.whole(other)
    assert whole["customer_id"] == (await shop.whole(account))["customer_id"]
    assert {one["badge"] for one in whole["identities"]} == {"proven", "stated"}
    [done] = whole["operations"]
    assert (done["kind"], done["reason"], done["can_be_undone"]) == ("link", "same voice on the phone", True)
    await shop.post(f"/v1/identities/operations/{done['number']}/undo", reason="it was his wife")
    assert len((await shop.whole(other))["identities"]) == 1
    assert [one["kind"] for one in (await shop.whole(other))["operations"]] == ["undo", "link"]
    again = f"/v1/identities/operations/{done['number']}/undo"
    assert await shop.refused(again, reason="again") == (409, "already_undone")
    await shop.trust_the_matcher()
    await shop.states("wechat", "oXchen", company="汇流")
    await shop.compare()
    assert len((await shop.whole(other))["identities"]) == 1, (
        "a model must not make again what a person took back"
    )


async def test_split_shows_first_what_goes_where_and_undo_gives_back_the_same_customer(shop: Shop) -> None:
    account, known = await shop.states("account", "zhao-1", **ZHAO), await shop.access()
    talk = await shop.hears("wechat_oa", "oX1", ("wechat_oa:wx", "oX1", True))
    [wechat] = (await shop.access()).keys() - known.keys()
    proposal = await shop.post("/v1/identities/link/preview", one=account, other=wechat)
    assert (proposal["refused"], len(proposal["sides"])) == ("", 1)
    linked = await shop.post("/v1/identities/link", one=account, other=wechat, reason="she told us")
    assert [one["id"] for one in (await shop.whole(account))["conversations"]] == [talk]
    preview = await shop.post("/v1/identities/split/preview", identities=[wechat])
    sides = {side["identities"][0]["id"]: side["conversations"] for side in preview["sides"]}
    assert sides == {account: [], wechat: [talk]}
    done = await shop.post("/v1/identities/split", identities=[wechat], reason="another Lin")
    assert (await shop.whole(wechat))["conversations"][0]["id"] == talk
    assert (await shop.whole(account))["conversations"] == []
    again = {"one": account, "other": wechat, "reason": "but she is"}
    assert await shop.refused("/v1/identities/link", **again) == (409, "kept_apart")
    await shop.post(f"/v1/identities/operations/{done['operation']}/undo", reason="she is the same after all")
    whole = await shop.whole(wechat)
    assert whole["customer_id"] == linked["customer_id"]
    assert len(whole["identities"]) == 2
    assert (await shop.audited())[-3:] == ["customer.linked", "customer.split", "customer.undone"]
    listed = await shop.get("/v1/identities/operations")
    assert [one["kind"] for one in listed["operations"]][:3] == ["undo", "split", "link"]


async def test_two_accounts_are_never_one_customer_and_nobody_is_asked_about_them(shop: Shop) -> None:
    await shop.trust_the_matcher()
    one = await shop.states("account", "qian-1", **QIAN)
    other = await shop.states("account", "qian-2", **QIAN)
    await shop.compare()
    assert await shop.asked_about(one, other) == []
    refused = await shop.refused("/v1/identities/link", one=one, other=other, reason="they look alike")
    assert refused == (409, "two_accounts")
    assert (await shop.whole(one))["operations"] == [], "what was refused has left nothing"


async def test_what_somebody_only_says_is_asked_about_and_never_linked(shop: Shop) -> None:
    await shop.trust_the_matcher()
    account = await shop.states("account", "sun-1", **SUN)
    names = (
        ("web_chat", "visitor-9", True),
        ("phone", "+8615088267193", False),
        ("email", SUN["email"], False),
    )
    await shop.hears("web_chat", "v9", *names)
    await shop.compare()
    assert len((await shop.whole(account))["identities"]) == 1
    [pair] = await shop.asked_about(account)
    claimed = {field["name"]: field["claimed"] for field in pair["fields"]}
    assert sorted(claimed["phone"]) == [False, True]


async def test_customer_is_found_by_whole_values_only_and_masked_values_are_opened_with_a_reason(
    shop: Shop,
) -> None:
    person = {
        **MEI,
        "name": "顾念慈",
        "phone": "151 3306 8824",
        "email": "nianci.gu@lanyu-post.cn",
        "birthday": "1983-07-07",
    }
    account = await shop.states("account", "gu-1", **person)
    order = {"id": "o1", "type": "order", "at": "2026-11-01T00:00:00Z", "amount": 5, "order_no": "SO-77"}
    body = {"events": [{**order, "identity": {"namespace": "account", "value": "gu-1"}}]}
    await shop.product.client.post("/v1/events", json=body, headers={"Authorization": f"Bearer {KEY}"})
    await shop.compare()
    for text in (
        "15133068824",
        "+86 151-3306-8824",
        "NianCi.Gu@lanyu-post.cn",
        "gu-1",
        "so-77",
        "顾念慈",
        account,
    ):
        found = (await shop.post("/v1/customers/search", text=text))["customers"]
        assert [one["customer_id"] for one in found] == [account], text
    for text in ("151", "1513306882", "nianci", "gu", "so-7", "顾", "%", "*"):
        assert (await shop.post("/v1/customers/search", text=text))["customers"] == [], text
    assert await shop.refused("/v1/customers/search", text=" ") == (422, "bad_search")
    place = f"/v1/customers/{account}/open"
    assert await shop.refused(place, what="fact:phone", reason="") == (422, "reason_missing")
    opened_value = await shop.post(place, what="fact:phone", reason="she asked us to call back")
    assert opened_value["value"].endswith("15133068824")
    assert await shop.refused(place, what="fact:shoe", reason="why not") == (404, "unknown_value")
    assert (await shop.audited()).count("customer.opened") == 1
    entries = await shop.product.system.database.read(_details)
    assert "15133068824" not in entries


def _details(connection: Any) -> str:
    from operations import audit

    return str([entry.detail for entry in audit.read(connection, TENANT)])


async def test_same_is_done_from_the_terminal_through_the_running_server(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = shop.product.system.settings
    account = await shop.states("account", "terminal-1", name="白景行", phone="152 7743 9018")
    card = await shop.states("crm", "terminal-2", name="白景行", company="远山")
    await shop.compare()
    assert await commands.find(settings, "152-7743-9018") == 0
    assert await commands.find(settings, "152-7743-901") == 1
    await commands.link(settings, account, card, reason="told by phone")
    await commands.show(settings, card)
    await commands.split(settings, [card], reason="", preview=True)
    await commands.split(settings, [card], reason="his father", preview=False)
    said = capsys.readouterr().out
    assert account in said
    assert "15277439018" not in said
    assert "goes : crm terminal-2" in said
    step = int(said.strip().rsplit(" ", 1)[1])
    await commands.undo(settings, step, reason="the same after all")
    assert len((await shop.whole(card))["identities"]) == 2
    phone = await shop.states("wechat", "oXbai", name="白景行", phone="152 7743 9018")
    await commands.new_holder(settings, phone, reason="the carrier gave it away")
    begun = capsys.readouterr().out.strip().rsplit(" ", 1)[1].rstrip(".")
    assert (await shop.whole(phone))["operations"][0]["kind"] == "epoch"
    assert (await shop.whole(begun))["profile"] != (await shop.whole(phone))["profile"]
    with pytest.raises(errors.InvalidInput) as twice:
        await commands.new_holder(settings, phone, reason="again")
    assert twice.value.code == "not_newest"
    with pytest.raises(errors.InvalidInput) as never:
        await commands.new_holder(settings, account, reason="an account is nobody else's")
    assert never.value.code == "never_recycled"
    await commands.reviews(settings)
    await commands.models(settings)
    with pytest.raises(errors.InvalidInput) as refused:
        await commands.decide(settings, account, card, same=True, reason="sure")
    assert refused.value.code == "no_such_pair"


async def test_bad_input_is_refused_by_name_and_who_may_not_is_told_so(shop: Shop) -> None:
    account = await shop.states("account", "bad-1", company="汇流")
    why = {"reason": "because"}
    assert await shop.refused("/v1/identities/link", one=account, other=account, **why) == (
        422,
        "same_identity",
    )
    assert await shop.refused("/v1/identities/link", one=account, other="nobody", **why) == (
        404,
        "unknown_identity",
    )
    assert await shop.refused("/v1/identities/link", one=account, **why) == (422, "malformed")
    assert await shop.refused("/v1/identities/split", identities=[account], **why) == (422, "nothing_stays")
    assert await shop.refused("/v1/identities/split", identities=[], **why) == (422, "nothing_chosen")
    assert await shop.refused("/v1/identities/operations/99/undo", **why) == (404, "unknown_operation")
    assert await shop.refused("/v1/identities/operations/x/undo", **why) == (422, "bad_number")
    assert await shop.refused("/v1/reviews/decide", one=account, other="b", same=True, **why) == (
        404,
        "no_such_pair",
    )
    assert await shop.refused("/v1/matching/models/live", version=7, **why) == (404, "no_such_model")
    assert await shop.refused("/v1/matching/models/learn") == (422, "too_few_records")
    missing = await shop.product.call("GET", "/v1/customers/nobody/identities")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "unknown_customer")
    await shop.product.system.staff.add(
        TENANT, login="ed", name="Ed", role="editor", password="long enough", actor="test"
    )
    logged_in = await shop.product.client.post(
        "/v1/staff/login", json={"login": "ed", "password": "long enough"}
    )
    token = {"Authorization": f"Bearer {logged_in.json()['token']}"}
    for path, body in (
        ("/v1/customers/search", {"text": "bad-1"}),
        ("/v1/identities/link", {"one": "a", "other": "b", "reason": "x"}),
        ("/v1/reviews/decide", {"one": "a", "other": "b", "same": True, "reason": "x"}),
        ("/v1/matching/models/learn", {}),
    ):
        answer = await shop.product.client.post(path, json=body, headers=token)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_permitted"), path


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_match_and_no_click_adds_to_what_may_be_disclosed(shop: Shop, seed: int) -> None:
    """Property 7: whatever is imported, compared, linked, split and undone, in any order; a split may only take away."""
    chance = random.Random(seed)
    await shop.trust_the_matcher()
    for number in range(8):
        facts = {**MEI, "phone": f"1391{seed}35672{number % 3}", "name": ("林小雨", "王强")[number % 2]}
        await shop.states(chance.choice(("account", "wechat", "crm")), f"p{seed}-{number}", **facts)
    await shop.hears(
        "wechat_oa", f"oX{seed}", ("wechat_oa:wx", f"oX{seed}", True), ("account", f"p{seed}-0", True)
    )
    earlier = (await shop.get("/v1/identities/operations"))["operations"]
    newest = earlier[0]["number"] if earlier else 0
    before = await shop.access()
    assert len(set(before.values())) < len(before), "somebody has proven to be one person"
    await shop.compare()
    for _ in range(12):
        one, other = chance.sample(sorted(before), 2)
        body: dict[str, Any] = {"one": one, "other": other, "reason": "chance"}
        match chance.randrange(3):
            case 0:
                await shop.product.call("POST", "/v1/identities/link", body)
            case 1:
                await shop.product.call(
                    "POST", "/v1/identities/split", {"identities": [one], "reason": "chance"}
                )
            case _:
                done = (await shop.get("/v1/identities/operations"))["operations"]
                mine = [
                    one["number"] for one in done if one["number"] > newest
                ]  # what an older split cut was proven
                number = chance.choice(mine) if mine else 10**6
                await shop.product.call(
                    "POST", f"/v1/identities/operations/{number}/undo", {"reason": "chance"}
                )
        await shop.compare()
    after = await shop.access()
    for one, access_id in before.items():
        together = {other for other, label in before.items() if label == access_id}
        assert {other for other, label in after.items() if label == after[one]} <= together


async def test_split_gives_the_task_back_and_the_summary_is_written_anew(shop: Shop) -> None:
    account = ("account", "demo1", True)
    wechat = (("wechat_oa:wx", "oX9", True), account)
    web = await shop.hears("web_chat", "v1", ("web_chat", "v1", True), account, text="我想退掉那盏台灯")
    talk = await shop.hears("web_chat", "oX9", *wechat)
    assert (await shop.task(talk), await shop.task(web)) == ("return_request", "")
    await shop.hears("web_chat", "oX9", *wechat, text="转人工")
    assert "SQ2026010002" in await shop.summary(talk)
    [one] = [
        one["id"]
        for one in (await shop.whole(await shop.customer(talk)))["identities"]
        if one["value"] == "oX9"
    ]
    await shop.post("/v1/identities/split", identities=[one], reason="it was his son")
    await shop.product.settle()
    assert (await shop.task(talk), await shop.task(web)) == ("", "return_request")
    assert "转人工" in await shop.summary(talk)
    assert "SQ2026010002" not in await shop.summary(talk)
