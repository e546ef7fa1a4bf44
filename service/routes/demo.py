"""The demo shop's own pages and its sign-in, served only in the environment `demo`.

A real shop signs its customers in itself and gives the chat a signed user token; here a button plays that part.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import OctKey
from pydantic import Field
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from foundation import errors
from foundation.clock import Clock
from foundation.messages import Frozen
from service.routes.forms import read_form

SITE = Path(__file__).parent.parent.parent / "demo" / "shop" / "site"
CUSTOMERS = ({"account": "demo1", "name": "林小雨"}, {"account": "demo2", "name": "David Chen"})
KEY_ID = "demo"
AUDIENCE = "huiliu"
_LIFE = timedelta(hours=12)


class DemoShop:
    """Plays the shop's own back end: signs a user token for one of two customers."""

    def __init__(self, key: str, clock: Clock) -> None:
        self._key = OctKey.import_key(key.encode())
        self._clock = clock

    def routes(self) -> Sequence[BaseRoute]:
        return [
            Route("/", self._index),
            Route("/sign-in", self._sign_in_page),
            Route("/demo/customers", self._customers),
            Route("/demo/sign-in", self._sign_in, methods=["POST"]),
            Mount("/site", StaticFiles(directory=SITE)),
        ]

    def identity_token(self, account: str) -> str:
        if account not in {customer["account"] for customer in CUSTOMERS}:
            raise errors.NotFound("The demo shop has no such customer.")
        now = self._clock()
        claims = {
            "sub": account, "aud": AUDIENCE, "iat": int(now.timestamp()), "exp": int((now + _LIFE).timestamp()),
        }  # fmt: skip
        return jwt.encode({"alg": "HS256", "kid": KEY_ID}, claims, self._key)

    async def _index(self, _request: Request) -> Response:
        return FileResponse(SITE / "index.html")

    async def _sign_in_page(self, _request: Request) -> Response:
        return FileResponse(SITE / "sign-in.html", headers={"Cache-Control": "no-store"})

    async def _customers(self, _request: Request) -> Response:
        return JSONResponse({"customers": list(CUSTOMERS)})

    async def _sign_in(self, request: Request) -> Response:
        form = await read_form(request, _SignIn)
        return JSONResponse({"identity_jwt": self.identity_token(form.account)})


class _SignIn(Frozen):
    account: str = Field(max_length=100)
