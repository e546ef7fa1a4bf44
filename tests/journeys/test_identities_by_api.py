"""Who is who through the whole product: what matching finds by itself, what people decide, and what stays untouched by both."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from foundation.settings import load
from tests.journeys.conftest import VECTORS, few_articles, opened
from tests.journeys.identities_world import KEY, MEI, TENANT, WANG, Shop


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    VECTORS.parent.mkdir(exist_ok=True)
    settings = load(
        data_dir=tmp_path / "var", articles=few_articles(tmp_path / "articles"), channels=["web_chat", "wechat_oa"],
        server_keys={"demo": SecretStr(KEY)},
    )  # fmt: skip
    async with opened(settings) as running:
        yield Shop(running)


async def test_records_that_look_alike_are_asked_about_and_linked_only_by_a_learned_model(shop: Shop) -> None:
    account = await shop.states("account", "mei-1", **MEI)
    other = await shop.states("wechat", "oXmei", **{**MEI, "name": "林小玉"})
    worked = await shop.compare()
    assert (worked.linked, worked.asked) == (0, 2)  # each of them found the other, and it is one question
    queue = await shop.get("/v1/reviews")
    assert queue["left"] == 1
    [pair] = queue["pairs"]
    assert {pair["one"], pair["other"]} == {account, other}
    differing = {field["name"] for field in pair["fields"] if field["differs"]}
    assert differing == {"name"}
    assert "13912345678" not in str(pair)
    assert pair["reasons"][0]["bits"] > 0
    await shop.trust_the_matcher()
    await shop.states("account", "wang-1", **WANG)
    third = await shop.states("wechat", "oXwang", **WANG)
    worked = await shop.compare()
    assert worked.linked == 1
    whole = await shop.whole(third)
    linked = next(one for one in whole["identities"] if one["pair"])
    assert (linked["badge"], linked["by"]) == ("likely", "matcher")
    assert linked["score"] >= 0.999
    assert linked["reasons"]
    assert whole["do_not_disclose"]


async def test_person_decides_about_a_pair_once_and_may_take_it_back(shop: Shop) -> None:
    account = await shop.states("account", "mei-1", **MEI)
    other = await shop.states("wechat", "oXmei", **MEI)
    await shop.compare()
    pair = {"one": account, "other": other}
    assert await shop.refused("/v1/reviews/decide", **pair, same=True, reason=" ") == (422, "reason_missing")
    decided = await shop.post("/v1/reviews/decide", **pair, same=True, reason="same voice on the phone")
    assert decided == {"status": "accepted"}
    assert await shop.refused("/v1/reviews/decide", **pair, same=False, reason="no") == (409, "already_decided")
    assert (await shop.get("/v1/reviews"))["left"] == 0
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
    await shop.states("wechat", "oXmei", company="汇流")
    assert (await shop.compare()).linked == 0, "what a person has taken back is not made again by a model"


async def test_split_shows_first_what_goes_where_and_undo_gives_back_the_same_customer(shop: Shop) -> None:
    account = await shop.states("account", "mei-1", **MEI)
    talk = await shop.hears("wechat_oa", "oX1", ("wechat_oa:wx", "oX1", True))
    wechat = next(one for one in await shop.access() if one != account)
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
    assert await shop.audited() == ["staff.added", "customer.linked", "customer.split", "customer.undone"]
    listed = await shop.get("/v1/identities/operations")
    assert [one["kind"] for one in listed["operations"]] == ["undo", "split", "link"]


async def test_two_accounts_are_never_one_customer_and_nobody_is_asked_about_them(shop: Shop) -> None:
    one = await shop.states("account", "mei-1", **MEI)
    other = await shop.states("account", "mei-2", **MEI)
    await shop.trust_the_matcher()
    worked = await shop.compare()
    assert (worked.indexed, worked.linked, worked.asked) == (2, 0, 0)
    refused = await shop.refused("/v1/identities/link", one=one, other=other, reason="they look alike")
    assert refused == (409, "two_accounts")
    assert (await shop.whole(one))["operations"] == [], "what was refused has left nothing"


async def test_what_somebody_only_says_is_asked_about_and_never_linked(shop: Shop) -> None:
    await shop.states("account", "mei-1", **MEI)
    await shop.trust_the_matcher()
    names = (("web_chat", "visitor-9", True), ("phone", "+8613912345678", False), ("email", MEI["email"], False))
    await shop.hears("web_chat", "v9", *names)
    worked = await shop.compare()
    assert (worked.linked, worked.asked) == (0, 1)
    [pair] = (await shop.get("/v1/reviews"))["pairs"]
    claimed = {field["name"]: field["claimed"] for field in pair["fields"]}
    assert sorted(claimed["phone"]) == [False, True]


async def test_customer_is_found_by_whole_values_only_and_masked_values_are_opened_with_a_reason(
    shop: Shop,
) -> None:
    account = await shop.states("account", "mei-1", **MEI)
    order = {"id": "o1", "type": "order", "at": "2026-11-01T00:00:00Z", "amount": 5, "order_no": "SO-77"}
    body = {"events": [{**order, "identity": {"namespace": "account", "value": "mei-1"}}]}
    await shop.product.client.post("/v1/events", json=body, headers={"Authorization": f"Bearer {KEY}"})
    await shop.compare()
    for text in ("13912345678", "+86 139-1234-5678", "XiaoYu.Lin@example.com", "mei-1", "so-77", "林小雨", account):
        found = (await shop.post("/v1/customers/search", text=text))["customers"]
        assert [one["customer_id"] for one in found] == [account], text
    for text in ("139", "1391234567", "xiaoyu", "mei", "so-7", "林", "%", "*"):
        assert (await shop.post("/v1/customers/search", text=text))["customers"] == [], text
    assert await shop.refused("/v1/customers/search", text=" ") == (422, "bad_search")
    place = f"/v1/customers/{account}/open"
    assert await shop.refused(place, what="fact:phone", reason="") == (422, "reason_missing")
    opened_value = await shop.post(place, what="fact:phone", reason="she asked us to call back")
    assert opened_value["value"].endswith("13912345678")
    assert await shop.refused(place, what="fact:shoe", reason="why not") == (404, "unknown_value")
    assert (await shop.audited()).count("customer.opened") == 1
    entries = await shop.product.system.database.read(_details)
    assert "13912345678" not in entries


def _details(connection: Any) -> str:
    from operations import audit

    return str([entry.detail for entry in audit.read(connection, TENANT)])


async def test_bad_input_is_refused_by_name_and_who_may_not_is_told_so(shop: Shop) -> None:
    account = await shop.states("account", "mei-1", **MEI)
    why = {"reason": "because"}
    assert await shop.refused("/v1/identities/link", one=account, other=account, **why) == (422, "same_identity")
    assert await shop.refused("/v1/identities/link", one=account, other="nobody", **why) == (404, "unknown_identity")
    assert await shop.refused("/v1/identities/link", one=account, **why) == (422, "malformed")
    assert await shop.refused("/v1/identities/split", identities=[account], **why) == (422, "nothing_stays")
    assert await shop.refused("/v1/identities/split", identities=[], **why) == (422, "nothing_chosen")
    assert await shop.refused("/v1/identities/operations/99/undo", **why) == (404, "unknown_operation")
    assert await shop.refused("/v1/identities/operations/x/undo", **why) == (422, "bad_number")
    assert await shop.refused("/v1/reviews/decide", one=account, other="b", same=True, **why) == (404, "no_such_pair")
    assert await shop.refused("/v1/matching/models/live", version=7, **why) == (404, "no_such_model")
    assert await shop.refused("/v1/matching/models/learn") == (422, "too_few_records")
    missing = await shop.product.call("GET", "/v1/customers/nobody/identities")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "unknown_customer")
    await shop.product.system.staff.add(
        TENANT, login="ed", name="Ed", role="editor", password="long enough", actor="test"
    )
    logged_in = await shop.product.client.post("/v1/staff/login", json={"login": "ed", "password": "long enough"})
    token = {"Authorization": f"Bearer {logged_in.json()['token']}"}
    for path, body in (
        ("/v1/customers/search", {"text": "mei-1"}),
        ("/v1/identities/link", {"one": "a", "other": "b", "reason": "x"}),
        ("/v1/reviews/decide", {"one": "a", "other": "b", "same": True, "reason": "x"}),
        ("/v1/matching/models/learn", {}),
    ):
        answer = await shop.product.client.post(path, json=body, headers=token)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_permitted"), path


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_no_match_and_no_click_changes_what_may_be_disclosed(shop: Shop, seed: int) -> None:
    """Property 7: whatever is imported, compared, linked, kept apart, split and undone, in any order."""
    chance = random.Random(seed)
    people = [{**MEI, "phone": f"1391234567{n % 3}", "name": ("林小雨", "王强")[n % 2]} for n in range(8)]
    names = [await shop.states(chance.choice(("account", "wechat", "crm")), f"n{n}", **facts) for n, facts in enumerate(people)]
    talk = await shop.hears("wechat_oa", "oX1", ("wechat_oa:wx", "oX1", True), ("account", "n0", True))
    before = await shop.access()
    await shop.trust_the_matcher()
    await shop.compare()
    for _ in range(12):
        one, other = chance.sample(sorted(before), 2)
        body: dict[str, Any] = {"one": one, "other": other, "reason": "chance"}
        match chance.randrange(4):
            case 0:
                await shop.product.call("POST", "/v1/identities/link", body)
            case 1:
                await shop.product.call("POST", "/v1/identities/apart", body)
            case 2:
                await shop.product.call("POST", "/v1/identities/split", {"identities": [one], "reason": "chance"})
            case _:
                done = (await shop.get("/v1/identities/operations"))["operations"]
                number = chance.choice(done)["number"] if done else 1
                await shop.product.call("POST", f"/v1/identities/operations/{number}/undo", {"reason": "chance"})
        await shop.compare()
    after = await shop.access()
    assert len(set(names)) == len(people)
    assert talk
    assert {one: after[one] for one in before if _is_likely_only(one, before)} == {
        one: before[one] for one in before if _is_likely_only(one, before)
    }
    assert all(after[one] in (before[one], one) or after[one] == before[one] for one in before)


def _is_likely_only(one: str, access: dict[str, str]) -> bool:
    """A split of proven names does cut what they may see of each other; that is what it is for."""
    return list(access.values()).count(access[one]) == 1
