"""The console's entrance over HTTP: who comes in, where they land, what a stranger learns."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette

from foundation import errors
from operations.console.entrance import BODY_LIMIT, COOKIE, Entrance
from operations.log_in_limit import WRONG_A_MINUTE
from tests.unit.operations.conftest import PASSWORD, Office


@pytest.fixture
async def client(office: Office) -> AsyncIterator[httpx.AsyncClient]:
    await office.hire("mei")
    entrance = Entrance(office.staff, office.tenant, secure=True, demo=False)
    transport = httpx.ASGITransport(Starlette(routes=entrance.routes()))
    async with httpx.AsyncClient(transport=transport, base_url="https://desk.example") as opened:
        yield opened


async def test_right_password_leads_to_the_page_that_was_asked_for(client: httpx.AsyncClient) -> None:
    answer = await client.post("/console/login", data=_form(next="/console/knowledge"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/knowledge")
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith(COOKIE)
    assert {"httponly", "secure", "samesite=lax"} <= {part.strip() for part in cookie.split(";")}


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/console", "//evil.example", "/console//evil.example", "/console\\@evil.example", "/elsewhere",
        "/console/../admin", "javascript:alert(1)", "/console/\r\nSet-Cookie: x=1", "/consoleevil", "",
    ],
)  # fmt: skip
async def test_nobody_is_sent_elsewhere_after_logging_in(client: httpx.AsyncClient, target: str) -> None:
    answer = await client.post("/console/login", data=_form(next=target))
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")


async def test_page_is_the_same_when_login_is_unknown_or_password_wrong(client: httpx.AsyncClient) -> None:
    wrong = await client.post("/console/login", data=_form(password="not the password"))
    unknown = await client.post("/console/login", data=_form(login="nobody"))
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.text == unknown.text
    assert COOKIE not in wrong.headers.get("set-cookie", "")


async def test_address_waits_when_it_sent_too_many_wrong_passwords(client: httpx.AsyncClient) -> None:
    for number in range(WRONG_A_MINUTE):
        assert (await client.post("/console/login", data=_form(login=f"nobody{number}"))).status_code == 401
    answer = await client.post("/console/login", data=_form())
    assert answer.status_code == 429
    assert 'role="alert"' in answer.text


async def test_right_passwords_are_never_held_up(client: httpx.AsyncClient) -> None:
    for _ in range(WRONG_A_MINUTE + 2):
        assert (await client.post("/console/login", data=_form())).status_code == 303


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"login=%FF&password=%00", b"login=a&login=b&password"])
async def test_rubbish_is_a_wrong_login(client: httpx.AsyncClient, body: bytes) -> None:
    assert (await client.post("/console/login", content=body)).status_code == 401


async def test_markup_in_the_address_stays_text(client: httpx.AsyncClient) -> None:
    answer = await client.get("/console/login", params={"next": '"><script>alert(1)</script>'})
    assert "<script>" not in answer.text
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "huiliu-demo" not in answer.text


async def test_page_speaks_the_readers_language_and_keeps_their_theme(client: httpx.AsyncClient) -> None:
    chinese = await client.get("/console/login", headers={"accept-language": "zh-CN"})
    english = await client.get("/console/login", headers={"accept-language": "de"})
    assert 'lang="zh"' in chinese.text
    assert 'lang="en"' in english.text
    client.cookies.set("huiliu_theme", "dark")
    assert 'data-theme="dark"' in (await client.get("/console/login")).text


async def test_body_beyond_its_limit_is_not_read(client: httpx.AsyncClient) -> None:
    with pytest.raises(Exception, match="more than a log-in"):
        await client.post("/console/login", content=b"x" * (BODY_LIMIT + 1))


async def test_logging_out_takes_the_cookie_away(client: httpx.AsyncClient) -> None:
    await client.post("/console/login", data=_form())
    assert COOKIE in client.cookies
    answer = await client.post("/console/logout")
    assert answer.headers["location"] == "/console/login"
    assert COOKIE not in client.cookies


async def test_another_site_cannot_log_anybody_out(client: httpx.AsyncClient) -> None:
    await client.post("/console/login", data=_form())
    assert (await client.get("/console/logout")).status_code == 405
    with pytest.raises(errors.NotPermitted):
        await client.post("/console/logout", headers={"sec-fetch-site": "cross-site"})
    assert COOKIE in client.cookies


def _form(**changes: str) -> dict[str, str]:
    return {"login": "mei", "password": PASSWORD, "next": "/console", **changes}
