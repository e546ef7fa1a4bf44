"""Logging in and out of the console: plain HTML and one cookie that scripts cannot read.

The service mounts these routes beside the console. Every page asks `member_of(request)`; nobody gets a page without.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from foundation import errors
from foundation.messages import TenantId
from operations.console import words
from operations.console.frame import Theme
from operations.log_in_limit import LogInLimit
from operations.staff import TOKEN_LIFE, Member, Staff

COOKIE = "huiliu_staff"
LANGUAGE_COOKIE = "huiliu_language"
THEME_COOKIE = "huiliu_theme"
HOME = "/console"
BODY_LIMIT = 8_000
_PAGES = Path(__file__).parent / "pages"
ICON = _PAGES / "icon.svg"


class Entrance:
    """`secure` marks the cookie for https; `demo` shows the demo's login on the page."""

    def __init__(self, staff: Staff, tenant: TenantId, *, secure: bool, demo: bool) -> None:
        self._staff = staff
        self._tenant = tenant
        self._secure = secure
        self._demo = demo
        self._limit = LogInLimit()
        self._words = words.load()
        self._page = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_PAGES), autoescape=True, undefined=jinja2.StrictUndefined
        ).get_template("login.html")

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/console/login", self._show, methods=["GET"]),
            Route("/console/login", self._log_in, methods=["POST"]),
            Route("/console/logout", self._log_out, methods=["POST"]),
            Mount("/console-assets", StaticFiles(directory=_PAGES)),
        ]

    def words_for(self, request: Request) -> words.Words:
        chosen = words.choose(
            request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language", "")
        )
        return self._words[chosen]

    def theme_for(self, request: Request) -> Theme:
        chosen = request.cookies.get(THEME_COOKIE)
        return "light" if chosen == "light" else "dark" if chosen == "dark" else ""

    async def member_of(self, request: Request) -> Member | None:
        token = request.cookies.get(COOKIE)
        if not token:
            return None
        try:
            return await self._staff.from_token(token)
        except errors.NotAuthentic:
            return None

    async def _show(self, request: Request) -> Response:
        return self._render(request, request.query_params.get("next", HOME))

    async def _log_in(self, request: Request) -> Response:
        address = request.client.host if request.client else ""
        fields = parse_qs((await _small_body(request)).decode("utf-8", "replace"))
        given = {name: values[0] for name, values in fields.items()}
        target = _inside(given.get("next", HOME))
        try:
            await self._limit.check(address)
            member = await self._staff.log_in(
                self._tenant, given.get("login", "")[:100], given.get("password", "")[:200]
            )
        except errors.NotAuthentic as error:
            await self._limit.count_wrong(address)
            return self._render(request, target, problem="login.wrong", status=error.status)
        except errors.Exhausted as error:
            return self._render(request, target, problem="login.too_many", status=error.status)
        answer = RedirectResponse(target, status_code=303)
        answer.set_cookie(
            COOKIE, self._staff.token(member), max_age=int(TOKEN_LIFE.total_seconds()), httponly=True,
            samesite="lax", secure=self._secure, path="/",
        )  # fmt: skip
        return answer

    async def _log_out(self, request: Request) -> Response:
        """Asked for by our own pages; another site's form could only annoy, and may not do that either."""
        if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            raise errors.NotPermitted("Log out on the console itself.")
        answer = RedirectResponse("/console/login", status_code=303)
        answer.delete_cookie(COOKIE, path="/")
        return answer

    def _render(self, request: Request, target: str, *, problem: str = "", status: int = 200) -> Response:
        chosen = self.words_for(request)
        html = self._page.render(
            words=chosen, language=chosen.language, theme=self.theme_for(request), next=_inside(target),
            problem=problem, demo=self._demo,
        )  # fmt: skip
        return HTMLResponse(
            html,
            status_code=status,
            headers={
                "Cache-Control": "no-store",
                "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; form-action 'self'",
            },
        )


async def _small_body(request: Request) -> bytes:
    """Raises `InvalidInput` for more than a log-in can need."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise errors.InvalidInput("This is more than a log-in needs.", code="too_large")
    return bytes(body)


def _inside(target: str) -> str:
    """Only our own console's paths: nobody is sent to another site after logging in."""
    is_ours = bool(re.fullmatch(r"/console(/(?!/)[\w./-]*)?", target, re.ASCII)) and ".." not in target
    return target if is_ours else HOME
