"""A person with words that nobody else uses, on three channels and in every part of the product; then they are erased, and every
table, file and log is searched for the words. The same search finds them before, and still finds somebody else afterwards."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from langgraph.checkpoint.base import empty_checkpoint
from pydantic import SecretStr

from channels.media import records as media
from customers.privacy.erasure_places import DELETED, NOTHING
from foundation import errors
from foundation.bus.contract import Outgoing
from foundation.messages import ConversationId, Observation
from foundation.settings import load
from foundation.storage.database import metadata
from operations.audit import find_break
from service.remotely import privacy as commands
from tests.fakes.web_chat_house import free_port, serving
from tests.journeys.conftest import few_articles, opened
from tests.journeys.identities_world import KEY, TENANT, Shop

NAME, PHONE, MAIL, ACCOUNT = "欧阳倩云", "137 0571 8839", "qianyun@jinghu-post.cn", "qianyun-1"
OPENID, ORDER = "oQ1anYunOnlyHere", "HL-QY-88231"
FILE = "the only file of that person, amber-coloured"
WORDS = (
    NAME, "欧阳", "13705718839", PHONE, "0571 8839", MAIL, "jinghu-post", ACCOUNT, "qianyun", OPENID, ORDER, FILE, "琥珀色",
    "黄昏", "tangerine parasol", "visitor-amber", "薄荷信封",
)  # fmt: skip
"""Everything that only this person has said, is called or was called by staff."""
STRANGER = "碧螺春茶客"


@dataclass
class Search:
    """Looks for words wherever they could be: opened by the vault, and as they lie on the disk."""

    shop: Shop

    @property
    def folder(self) -> Path:
        return self.shop.product.system.settings.data_dir

    async def tables(self, words: Iterable[str]) -> dict[str, int]:
        """Rows by table that hold one of the words, sealed or not."""
        vault = self.shop.product.system.vault

        def read(connection: sa.Connection) -> dict[str, int]:
            found = {}
            for table in metadata.sorted_tables:
                rows = connection.execute(sa.select(table)).all()
                texts = [" ".join(_text(vault, value) for value in row) for row in rows]
                if hits := sum(_has(text, words) for text in texts):
                    found[table.name] = hits
            return found

        return await self.shop.product.system.database.read(read)

    async def turns(self, words: Iterable[str]) -> int:
        saver = self.shop.product.system.customers.turns_in_flight.saver
        assert saver is not None
        return sum([_has(str(one.checkpoint), words) async for one in saver.alist(None)])

    def sealed(self, words: Iterable[str]) -> list[bytes]:
        """How the words lie in the file: the beginning of each sealed value that holds one."""
        vault, found = self.shop.product.system.vault, []
        with closing(sqlite3.connect(self.folder / "huiliu.db")) as connection:
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (name,) in names:
                for row in connection.execute(f"SELECT * FROM {name}"):
                    found += [
                        one[:48] for one in row if isinstance(one, bytes) and _has(_text(vault, one), words)
                    ]
        return found

    def files(self, words: Iterable[str], sealed: Iterable[bytes]) -> list[str]:
        """Files that hold a word as it is, or one of these sealed values."""
        wanted = [*(form.encode() for word in words for form in _forms(word)), *sealed]
        return sorted(
            path.name
            for path in self.folder.rglob("*")
            if path.is_file() and any(one in path.read_bytes() for one in wanted)
        )


def _text(vault: Any, value: object) -> str:
    if not isinstance(value, bytes):
        return str(value)
    try:
        return str(vault.unseal(value))
    except errors.NotAuthentic:
        return value.decode("utf-8", "replace")


def _has(text: str, words: Iterable[str]) -> bool:
    return any(form in text for word in words for form in _forms(word))


def _forms(word: str) -> set[str]:
    """As it is, and as JSON may write it."""
    return {word, json.dumps(word)[1:-1]}


@asynccontextmanager
async def shop_in(
    folder: Path, *, data_dir: Path | None = None, database_url: str = ""
) -> AsyncIterator[Shop]:
    async def deliver(_outgoing: Outgoing) -> str:
        return "sent"

    listener, port = free_port()
    settings = load(
        data_dir=data_dir or folder / "var", articles=few_articles(folder / "articles"), channels=["web_chat", "wechat_oa"],
        server_keys={"demo": SecretStr(KEY)}, port=port, database_url=database_url,
    )  # fmt: skip
    async with opened(settings, deliver=deliver) as running, serving(running.app, listener):
        yield Shop(running)


async def live(shop: Shop) -> tuple[str, list[ConversationId]]:
    """A person's life with the shop; their customer id and conversations."""
    system = shop.product.system
    account = ("account", ACCOUNT, True)
    talks = [
        await shop.hears("web_chat", "amber", ("web_chat:site", "visitor-amber", True), account, text="我的 tangerine parasol 到哪了"),
        await shop.hears("wechat_oa", "w1", ("wechat_oa:wx1", OPENID, True), account, text=f"我叫{NAME}，电话{PHONE}"),
        await shop.hears(
            "email", "m1", ("email", MAIL, True), account, ("phone", "13705718839", False), text=f"order {ORDER}, 薄荷信封"
        ),
    ]  # fmt: skip
    identity = await shop.states("account", ACCOUNT, name=NAME, phone=PHONE, email=MAIL)
    order = {
        "id": "o1", "type": "order", "channel": "shop", "at": system.clock().isoformat(), "order_no": ORDER, "amount": "88.00",
        "currency": "CNY", "identity": {"namespace": "account", "value": ACCOUNT},
    }  # fmt: skip
    answer = await shop.product.client.post(
        "/v1/events", json={"events": [order]}, headers={"Authorization": f"Bearer {KEY}"}
    )
    assert answer.json()["accepted"] == 1, answer.text
    await shop.post(f"/v1/customers/{identity}/tags", tag="琥珀色", reason=f"{NAME} likes it")
    answer = await shop.product.call("POST", f"/v1/desk/conversations/{talks[1]}/note", {"text": "喜欢黄昏"})
    assert answer.is_success, answer.text
    seen = Observation(id="b1", type="search", at=system.clock(), query="tangerine parasol")
    await system.intake.observe(TENANT, talks[0], [seen])
    await keep_file(shop, talks[0])
    await keep_turn(shop, talks[1])
    await shop.compare()
    return identity, talks


async def keep_file(shop: Shop, talk: ConversationId) -> None:
    vault, now = shop.product.system.vault, shop.product.system.clock()
    name = media.make_id(vault, TENANT, talk, "amber-1", 0)
    file = media.describe(
        FILE.encode(), media_id=name, conversation_id=talk, message_id="amber-1", name="琥珀色.txt"
    )
    sealed = vault.seal_bytes(FILE.encode())
    await shop.product.system.database.write(
        lambda c: media.store(c, TENANT, file, sealed_content=sealed, now=now)
    )


async def keep_turn(shop: Shop, talk: ConversationId) -> None:
    """A turn that waits for a decision, as the graph keeps it."""
    saver = shop.product.system.customers.turns_in_flight.saver
    assert saver is not None
    kept = empty_checkpoint()
    kept["channel_values"] = {"text": f"{NAME} wants 薄荷信封"}
    config: Any = {"configurable": {"thread_id": f"{talk}|1", "checkpoint_ns": ""}}
    await saver.aput(config, kept, {"source": "input", "step": 1, "parents": {}}, {})


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with shop_in(tmp_path) as running:
        yield running


async def test_every_table_file_and_log_is_searched_and_nothing_is_found(
    shop: Shop, capfd: pytest.CaptureFixture[str]
) -> None:
    search = Search(shop)
    await shop.hears("wechat_oa", "w2", ("wechat_oa:wx1", "oStranger", True), text=f"我是{STRANGER}")
    stranger = await shop.states("account", "stranger-1", name=STRANGER)
    customer, talks = await live(shop)
    other = await shop.states("crm", "77", name="somebody else")
    await shop.post("/v1/identities/link", one=customer, other=other, reason=f"{NAME} called and said so")
    before = await search.tables(WORDS)
    assert set(before) >= {
        "audit_entry", "behaviour_event", "bus_inbox", "conversation", "desk_note", "identity", "identity_claim", "identity_op",
        "match_record", "media", "message", "profile_fact", "profile_tag", "raw_payload",
    }  # fmt: skip
    assert set(before) & set(NOTHING) == set(), (
        "what is said to hold nothing of anybody holds nothing of this one"
    )
    assert await search.turns(WORDS) == 1
    sealed = search.sealed(WORDS)
    assert len(sealed) > 30
    assert "huiliu.db" in search.files([], sealed) or "huiliu.db-wal" in search.files([], sealed)
    before_strangers = await search.tables([STRANGER])

    look = (await shop.post(f"/v1/customers/{customer}/erasures", preview=True))["preview"]
    assert (look["conversations"], look["stays"], look["in_work"]) == (3, [other], 0)
    assert set(look["counts"]) <= {place.table for place in DELETED}
    assert look["counts"]["message"] >= 6
    assert await search.tables(WORDS) == before, "a look changes nothing"
    assert await shop.refused(f"/v1/customers/{customer}/erasures", reason=f"{NAME} asked") == (
        422,
        "reason_names_person",
    )
    assert await shop.refused(f"/v1/customers/{customer}/erasures", reason=" ") == (422, "reason_missing")
    done = await erased(shop, customer)
    assert (done["state"], [one["step"] for one in done["receipts"]]) == ("done", done["steps"])
    assert done["receipts"][0]["counts"] == look["counts"] | {"identity_op": 1}

    assert await search.tables(WORDS) == {}
    assert await search.turns(WORDS) == 0
    assert search.files(WORDS, sealed) == []
    out, err = capfd.readouterr()
    assert not _has(out + err, WORDS)
    assert await search.tables([STRANGER]) == before_strangers
    assert (await shop.product.call("GET", f"/v1/customers/{stranger}/identities")).status_code == 200
    await nothing_is_known_any_more(shop, customer, talks)
    assert (await shop.whole(other))["customer_id"] == other
    assert await shop.product.system.database.read(lambda c: find_break(c, TENANT)) is None
    assert (await shop.product.client.get("/ready")).json()["degraded"] == []


async def erased(shop: Shop, customer: str) -> Any:
    """A reader may hold the log of the file for a moment; the product looks again each second, this at once."""
    done = (await shop.post(f"/v1/customers/{customer}/erasures", reason="asked by letter"))["erasure"]
    assert done["receipts"][0]["step"] == "rows"
    while await shop.product.system.customers.erasures.run(TENANT):
        pass
    return (await shop.get(f"/v1/customers/{customer}/erasures/{done['id']}"))["erasure"]


async def nothing_is_known_any_more(shop: Shop, customer: str, talks: list[ConversationId]) -> None:
    assert (await shop.product.call("GET", f"/v1/customers/{customer}/identities")).status_code == 404
    for talk in talks:
        assert (await shop.product.call("GET", f"/v1/desk/conversations/{talk}")).status_code == 404
    for text in (PHONE, MAIL, ACCOUNT, NAME, ORDER):
        assert (await shop.post("/v1/customers/search", text=text))["customers"] == []
    told = await shop.product.system.database.read(
        lambda c: c.execute(sa.text("SELECT type, data FROM outward_event ORDER BY id DESC")).all()
    )
    assert "customer.erased" in {row.type for row in told}


async def test_no_other_system_brings_them_back_and_they_themselves_do(shop: Shop) -> None:
    customer, talks = await live(shop)
    await shop.post(f"/v1/customers/{customer}/erasures", reason="asked by letter")
    bearer = {"Authorization": f"Bearer {KEY}"}
    for identity, facts in (
        ({"namespace": "account", "value": ACCOUNT}, {"city": "杭州"}),
        ({"namespace": "crm", "value": "new-id"}, {"phone": "+86 137 0571 8839"}),
    ):
        row = {"identity": identity, "facts": facts}
        answer = await shop.product.client.post("/v1/customers", json={"customers": [row]}, headers=bearer)
        [result] = answer.json()["results"]
        assert (result["status"], result["reason"]) == ("rejected", "erased")
    event = {"id": "e1", "type": "message", "channel": "crm", "at": shop.product.system.clock().isoformat(),
             "identity": {"namespace": "account", "value": ACCOUNT}}  # fmt: skip
    answer = await shop.product.client.post("/v1/events", json={"events": [event]}, headers=bearer)
    assert [one["reason"] for one in answer.json()["results"]] == ["erased"]
    assert await Search(shop).tables(WORDS) == {}
    again = await shop.hears("wechat_oa", "w1", ("wechat_oa:wx1", OPENID, True), text="我又来了")
    assert again == talks[1], "the same thread; nothing of it is remembered"
    lines = (await shop.get(f"/v1/desk/conversations/{again}"))["messages"]
    assert lines[0]["text"] == "我又来了"
    assert await shop.states("account", ACCOUNT, city="杭州")


async def test_terminal_looks_erases_and_tells_how_far_it_is(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    customer, _ = await live(shop)
    settings = shop.product.system.settings
    await commands.erase(settings, customer, reason="", identity="", preview=True)
    assert "3 conversations" in capsys.readouterr().out
    assert await shop.whole(customer)
    await commands.erase(settings, customer, reason="asked by letter", identity="", preview=False)
    assert "steps\n  rows: " in capsys.readouterr().out
    while await shop.product.system.customers.erasures.run(TENANT):
        pass
    [one] = (await shop.get("/v1/privacy/erasures"))["erasures"]
    await commands.status(settings, one["id"])
    assert "done, 6 of 6 steps" in capsys.readouterr().out
    await commands.status(settings, "")
    assert "done" in capsys.readouterr().out
    with pytest.raises(errors.InvalidInput) as missing:
        await commands.erase(settings, customer, reason="again", identity="", preview=False)
    assert missing.value.code == "unknown_customer"
    with pytest.raises(errors.InvalidInput) as unknown:
        await commands.status(settings, "era_none")
    assert unknown.value.code == "unknown_erasure"


async def test_copy_that_is_put_back_does_not_bring_back_who_was_erased_since(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with shop_in(tmp_path) as shop:
        customer, _ = await live(shop)
        assert await Search(shop).tables(WORDS)
    files = [tmp_path / "var" / name for name in ("huiliu.db", "turns.db")]
    copies = [path.read_bytes() for path in files]
    async with shop_in(tmp_path / "again", data_dir=tmp_path / "var") as shop:
        done = await erased(shop, customer)
        assert await Search(shop).tables(WORDS) == {}
    for path, copy in zip(files, copies, strict=True):
        path.write_bytes(copy)
    async with shop_in(tmp_path / "restored", data_dir=tmp_path / "var") as shop:
        search = Search(shop)
        assert await search.tables(WORDS), "the copy knows them"
        await commands.replay(shop.product.system.settings)
        assert done["id"] in capsys.readouterr().out
        while await shop.product.system.customers.erasures.run(TENANT):
            pass
        assert await search.tables(WORDS) == {}
        assert search.files(WORDS, []) == []
        assert await search.turns(WORDS) == 0
        await commands.replay(shop.product.system.settings)
        assert "nothing to erase again" in capsys.readouterr().out


async def test_nothing_stays_on_postgres_either(tmp_path: Path, postgres_url: str) -> None:
    async with shop_in(tmp_path, database_url=postgres_url) as shop:
        search = Search(shop)
        customer, _ = await live(shop)
        assert len(await search.tables(WORDS)) > 12
        assert await search.turns(WORDS) == 1
        done = await erased(shop, customer)
        assert (done["state"], len(done["receipts"])) == ("done", len(done["steps"]))
        assert await search.tables(WORDS) == {}
        assert await search.turns(WORDS) == 0
        assert await shop.product.system.database.read(lambda c: find_break(c, TENANT)) is None


async def test_import_from_before_is_waited_for_and_its_sample_forgets_them(shop: Shop) -> None:
    search = Search(shop)
    customer, _ = await live(shop)
    table = f"账号,姓名,手机,邮箱\n{ACCOUNT},{NAME},{PHONE},{MAIL}\nstranger-9,{STRANGER},13812345678,x@example.cn\n"
    answer = await shop.product.client.post(
        "/v1/customer-imports",
        content=table.encode(),
        params={"name": "客户.csv"},
        headers=shop.product.operator,
    )
    assert answer.status_code in (200, 201), answer.text
    begun = (await shop.post(f"/v1/customers/{customer}/erasures", reason="asked by letter"))["erasure"]
    assert begun["receipts"][0]["counts"]["customer_import"] == 1
    await shop.product.system.customers.erasures.run(TENANT)
    path = f"/v1/customers/{customer}/erasures/{begun['id']}"
    waiting = (await shop.get(path))["erasure"]
    assert (waiting["state"], "imports" in {one["step"] for one in waiting["receipts"]}) == ("erasing", False)
    found = await shop.product.system.database.read(
        lambda c: c.execute(sa.select(metadata.tables["customer_import"])).one()
    )
    assert json.loads(found.sheet)["samples"][1:] == [
        ["", STRANGER],
        ["", "138****78"],
        ["", "x***@example.cn"],
    ]
    assert not _has(found.sheet, WORDS)
    headers = {**shop.product.operator, "Idempotency-Key": "once"}
    answer = await shop.product.client.post(f"/v1/customer-imports/{found.id}/start", headers=headers)
    assert answer.is_success, answer.text
    while (await shop.get(path))["erasure"]["state"] != "done":
        await shop.product.system.customers.import_job.run(TENANT)
        await shop.product.system.customers.erasures.run(TENANT)
    assert await search.tables([STRANGER])
    assert await search.tables(WORDS) == {}, "the row that was refused is kept without its cells"
