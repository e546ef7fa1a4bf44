"""The staff's API where it is more than the console: imports of files, differences, limits, roles, hostile input."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from foundation.messages import TenantId
from operations.log_in_limit import WRONG_A_MINUTE
from operations.staff import Role
from tests.journeys.conftest import Product

FEES = "/v1/knowledge/articles/zh/delivery-fees"
PASSWORD = "a long password"


def files(**texts: str) -> list[dict[str, str]]:
    return [
        {"path": path.replace("__", "/"), "base64": base64.b64encode(text.encode()).decode()}
        for path, text in texts.items()
    ]


def article(title: str, body: str) -> str:
    return f"---\ntitle: {title}\nlanguage: zh\nid: gift-wrap\n---\n{body}\n"


async def as_member(product: Product, role: Role) -> dict[str, str]:
    await product.system.staff.add(
        TenantId("demo"), login=role, name=role, role=role, password=PASSWORD, actor="test"
    )
    answer = await product.client.post("/v1/staff/login", json={"login": role, "password": PASSWORD})
    return {"Authorization": f"Bearer {answer.json()['token']}"}


async def test_import_without_publishing_makes_drafts_and_leaves_equal_ones_alone(product: Product) -> None:
    body: dict[str, Any] = {"publish": False, "files": files(zh__wrap=article("礼品包装", "每单 5 元。"))}
    body["files"][0]["path"] += ".md"
    counts = [(await product.call("POST", "/v1/knowledge/import", body)).json() for _ in range(2)]
    assert [(one["new"], one["changed"], one["unchanged"]) for one in counts] == [(1, 0, 0), (0, 0, 1)]
    body["files"] = [{**files(x=article("礼品包装", "每单 6 元。"))[0], "path": "zh/wrap.md"}]
    changed = (await product.call("POST", "/v1/knowledge/import", body)).json()
    assert (changed["new"], changed["changed"]) == (0, 1)
    (newest, oldest) = (await product.call("GET", "/v1/knowledge/articles/zh/gift-wrap")).json()
    assert (newest["version"], newest["state"], oldest["state"]) == (2, "draft", "draft")
    compared = await product.call("GET", "/v1/knowledge/articles/zh/gift-wrap/diff?old=1&new=2")
    assert "+每单 6 元。" in compared.json()["unified"].splitlines()


@pytest.mark.parametrize(
    "query", ["", "?old=1", "?old=a&new=2", "?old=-1&new=2", "?old=1&new=99999999999999999999"]
)
async def test_difference_of_no_versions_is_a_sentence(product: Product, query: str) -> None:
    answer = await product.call("GET", f"{FEES}/diff{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "versions_missing")


@pytest.mark.parametrize(
    "change",
    [
        {"name": ".."},
        {"name": "a/b"},
        {"name": ""},
        {"files": [{"path": "a.md", "base64": "eA=="}, {"path": "a.md/b.md", "base64": "eA=="}]},
        {"files": [{"path": "", "base64": "eA=="}]},
        {"files": [{"path": ".", "base64": "eA=="}]},
        {"files": [{"path": "/etc/passwd", "base64": "eA=="}]},
        {"files": [{"path": "x" * 290 + ".md", "base64": "eA=="}]},
        {"files": [{"path": "a.md", "base64": "not base64!"}]},
        {"files": [{"path": "a.md", "base64": "é"}]},
    ],
)  # fmt: skip
async def test_impossible_import_is_refused_with_a_sentence(product: Product, change: dict[str, Any]) -> None:
    body = {"name": "import", "files": files(a="x"), **change}
    answer = await product.call("POST", "/v1/knowledge/import", body)
    assert answer.status_code == 422
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "change", [{"language": "klingon!"}, {"body": " "}, {"ask": []}, {"ask": [""]}, {"id": "a b/c"}]
)
async def test_preview_of_no_article_is_refused(product: Product, change: dict[str, Any]) -> None:
    body = {"id": "x", "language": "zh", "title": "标题", "body": "正文。", "ask": ["运费多少钱"], **change}
    assert (await product.call("POST", "/v1/knowledge/preview", body)).status_code == 422


async def test_log_ins_wait_when_an_address_guesses(product: Product) -> None:
    for number in range(WRONG_A_MINUTE):
        guess = {"login": f"nobody{number}", "password": "x"}
        assert (await product.client.post("/v1/staff/login", json=guess)).status_code == 401
    right = await product.client.post("/v1/staff/login", json={"login": "admin", "password": "huiliu-demo"})
    assert right.status_code == 429
    assert int(right.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("role", "method", "path"),
    [
        ("agent", "GET", "/v1/knowledge/articles"),
        ("agent", "POST", f"{FEES}/publish"),
        ("agent", "GET", "/v1/prompts"),
        ("agent", "POST", "/v1/desk/approvals/x"),
        ("qa", "POST", "/v1/desk/conversations/x/take"),
        ("editor", "POST", "/v1/desk/conversations/x/reply"),
        ("editor", "POST", "/v1/desk/approvals/x"),
    ],
)
async def test_role_without_the_power_is_refused(
    product: Product, role: Role, method: str, path: str
) -> None:
    headers = await as_member(product, role)
    answer = await product.client.request(method, path, json={}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_permitted")


async def test_unknown_conversation_is_404_for_every_action(product: Product) -> None:
    for method, path, body in (
        ("GET", "", None),
        ("POST", "/take", None),
        ("POST", "/reply", {"text": "x"}),
        ("POST", "/give-back", None),
        ("POST", "/close", None),
        ("POST", "/note", {"text": "x"}),
    ):
        answer = await product.call(method, f"/v1/desk/conversations/nowhere{path}", body)
        assert answer.status_code == 404, path
