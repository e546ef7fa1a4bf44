"""Signing in by a link that the bot sent, on channels that have no sign-in of their own.

The page behind `/sign-in` (the shop's own; the demo has one) signs the customer in as it always does, shows which
conversation asked and when, and posts the shop's signed user token together with the link's token. The proof and the
event that lets the conversation go on commit in one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from pydantic import Field, SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from channels.families.live_chat import used_tokens
from channels.families.live_chat.tokens import read_identity
from customers.directory import Directory
from customers.records import Link
from foundation import conversations, errors
from foundation.bus.contract import Bus, Entry
from foundation.clock import Clock, to_milliseconds
from foundation.events import IdentityProven
from foundation.messages import Frozen
from foundation.security import Vault
from foundation.storage.database import Database
from service.routes.forms import read_form


class _SignIn(Frozen):
    token: str = Field(max_length=400)
    identity_jwt: str = Field(max_length=4000)


class SignIn:
    def __init__(
        self,
        directory: Directory,
        database: Database,
        bus: Bus,
        *,
        vault: Vault,
        keys: Mapping[str, SecretStr],
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._database = database
        self._bus = bus
        self._vault = vault
        self._keys = keys
        self._clock = clock

    def routes(self) -> Sequence[BaseRoute]:
        return [
            Route("/v1/sign-in", self._show, methods=["GET"]),
            Route("/v1/sign-in", self._redeem, methods=["POST"]),
        ]

    async def _show(self, request: Request) -> Response:
        """What the page must tell before anybody confirms: which channel asked, and when."""
        token = request.query_params.get("token", "")

        def read(connection: sa.Connection) -> tuple[Link, conversations.Conversation]:
            link = self._directory.check_sign_in_link(connection, token)
            return link, conversations.get(connection, link.tenant, link.conversation_id)

        link, conversation = await self._database.read(read)
        return JSONResponse(
            {
                "channel": conversation.channel,
                "asked_at": to_milliseconds(link.created_at),
                "expires_at": to_milliseconds(link.expires_at),
            },
            headers={"Cache-Control": "no-store"},
        )

    async def _redeem(self, request: Request) -> Response:
        form = await read_form(request, _SignIn)
        proven = read_identity(form.identity_jwt, self._keys, self._clock())
        link = await self._database.read(
            lambda connection: self._directory.check_sign_in_link(connection, form.token)
        )
        event = IdentityProven(tenant=link.tenant, conversation_id=link.conversation_id)

        def write(connection: sa.Connection, _seq: int) -> None:
            used_tokens.take(
                connection, self._vault, link.tenant, proven.token_id, by=link.id, until=proven.until, now=self._clock()
            )  # fmt: skip
            self._directory.redeem_sign_in_link(connection, form.token, account=proven.account)

        receipt = await self._bus.accept(
            Entry(link.tenant, "sign_in_link", link.id, link.conversation_id, event), write
        )
        if not receipt.new:
            raise errors.NotAuthentic(
                "This link has been used already. Ask for a new one in the conversation."
            )
        return JSONResponse({"proven": True})
