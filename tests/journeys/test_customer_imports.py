"""Customers from a file through the whole product: by HTTP and by `huiliu customers import`, with the rows that stay out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from foundation import errors
from foundation.settings import load
from service.remotely import customer_data as commands
from tests.fakes.web_chat_house import free_port, serving
from tests.journeys.conftest import VECTORS, Product, few_articles, opened

PATH = "/v1/customer-imports"
GOOD = "客户编号,姓名,手机号\nc1,王小明,13912349999\nc2,李四,１３９１２３４９９９８\n"
MIXED = GOOD + "c3,Jоhn,\n无,Ann,\n"


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Product]:
    VECTORS.parent.mkdir(exist_ok=True)
    listener, port = free_port()
    settings = load(
        data_dir=tmp_path / "var", articles=few_articles(tmp_path / "articles"), channels=["web_chat"], port=port,
        import_megabytes=1,
    )  # fmt: skip
    async with opened(settings) as running, serving(running.app, listener):
        yield running


async def bring(shop: Product, content: bytes, **query: str) -> Any:
    return await shop.client.post(PATH, content=content, params=query, headers=shop.operator)


async def ended(shop: Product, import_id: str) -> Any:
    async with asyncio.timeout(60):
        while True:
            found = (await shop.call("GET", f"{PATH}/{import_id}")).json()
            if found["state"] in ("done", "partly", "failed"):
                return found
            await asyncio.sleep(0.1)


async def start(shop: Product, import_id: str, key: str = "key") -> Any:
    headers = {**shop.operator, "Idempotency-Key": key}
    return await shop.client.post(f"{PATH}/{import_id}/start", headers=headers)


async def test_file_is_brought_mapped_started_once_and_what_is_broken_comes_back(shop: Product) -> None:
    brought = await bring(shop, MIXED.encode("gb18030"), name="客户.csv")
    assert brought.status_code == 201
    made = brought.json()
    assert [column["target"] for column in made["columns"]] == ["crm", "name", "phone"]
    assert (made["encoding"], made["preview"]["new"], made["preview"]["broken"]) == ("gb18030", 2, 2)
    assert "13912349999" not in brought.text
    mapped = await shop.call("PUT", f"{PATH}/{made['id']}/mapping", {"targets": ["account", "name", ""]})
    assert mapped.json()["preview"]["new"] == 2
    nobody = await shop.call("PUT", f"{PATH}/{made['id']}/mapping", {"targets": ["", "name", ""]})
    assert (nobody.status_code, nobody.json()["error"]["code"]) == (422, "no_key")
    assert (await start(shop, made["id"], "")).json()["error"]["code"] == "idempotency_key"
    assert (await start(shop, made["id"])).status_code == 202
    assert (await start(shop, made["id"])).status_code == 202
    assert (await start(shop, made["id"], "other")).status_code == 409
    done = await ended(shop, made["id"])
    assert done["progress"] == {
        "rows": 2, "done": 2, "new": 2, "updated": 0, "unchanged": 0, "left_out": 2, "aside": [],
    }  # fmt: skip
    left = await shop.call("GET", f"{PATH}/{made['id']}/broken-rows")
    assert left.headers["content-disposition"].startswith("attachment")
    lines = left.content.decode("utf-8-sig").splitlines()
    assert lines[0] == "行 row,列 column,原因,reason,客户编号,姓名,手机号"
    assert lines[1].startswith("4,姓名,")
    assert lines[2].endswith(",无,Ann,")
    found = (await shop.call("POST", "/v1/customers/search", {"text": "c1"})).json()["customers"]
    assert len(found) <= 1  # the keys are made by whoever compares, in its own time
    listed = (await shop.call("GET", PATH)).json()
    assert [one["id"] for one in listed["imports"]] == [made["id"]]
    assert {"name": "phone", "zh": "手机号", "en": "Phone"} in listed["targets"]


@pytest.mark.parametrize(
    ("content", "query", "code"),
    [
        (b"", {}, "empty_file"), (b"id,name\n", {}, "no_rows"), (b"x" * 1_000_001, {}, "too_large"),
        (GOOD.encode(), {"source": "No!"}, "bad_source"),
    ],
)  # fmt: skip
async def test_file_that_cannot_be_read_is_a_sentence(
    shop: Product, content: bytes, query: dict[str, str], code: str
) -> None:
    refused = await bring(shop, content, **query)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, code)


async def test_routes_ask_who_is_calling_and_know_no_strange_ids(shop: Product) -> None:
    assert (await shop.client.post(PATH, content=GOOD.encode())).status_code == 401
    for method, path in (("GET", ""), ("GET", "/broken-rows"), ("POST", "/retry"), ("DELETE", "")):
        assert (await shop.call(method, f"{PATH}/im_0{path}")).status_code == 404
    assert (await start(shop, "im_0")).status_code == 404


async def test_command_previews_imports_and_writes_down_what_stays_out(
    shop: Product, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, file, out = shop.system.settings, tmp_path / "customers.csv", tmp_path / "out.csv"
    file.write_text(MIXED, encoding="utf-8")

    async def run(*maps: str, preview: bool = False) -> int:
        return await commands.take_in(
            settings, file, maps=maps, source="crm", preview=preview, left_out=out
        )  # fmt: skip

    assert await run(preview=True) == 1
    assert "Nothing was changed." in capsys.readouterr().out
    assert (await shop.call("GET", PATH)).json()["imports"] == []
    assert len(out.read_text(encoding="utf-8-sig").splitlines()) == 3
    assert await run() == 1
    assert "2 new, 0 updated, 0 unchanged, 2 stayed out." in capsys.readouterr().out
    file.write_text(GOOD, encoding="utf-8")
    assert await run("手机号=") == 0
    with pytest.raises(errors.InvalidInput):
        await run("客户编号=", "手机号=")
    with pytest.raises(errors.InvalidInput):
        await run("no such column=name")
    states = [one["state"] for one in (await shop.call("GET", PATH)).json()["imports"]]
    assert states == ["done", "done"]
