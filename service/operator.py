"""The operator's pass: the command line proves that it may change a running service by knowing the master key.

`service/commands.py` makes a pass when the embedded database is in use by a running server and sends the work there;
the staff's routes accept it as an administrator. Five minutes, one audience, signed like every token of ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from foundation import errors
from foundation.clock import Clock
from foundation.messages import TenantId
from foundation.security import Vault
from operations.staff import Member, Permission, Staff

_AUDIENCE = "huiliu operator"
_LIFE = timedelta(minutes=5)

Action = Callable[[Request, Member], Awaitable[Any]]
"""What a route of the staff does; its answer becomes JSON, unless it is a response already."""


def make_pass(vault: Vault, tenant: TenantId, clock: Clock) -> str:
    claims = {"aud": _AUDIENCE, "tenant": tenant, "exp": int((clock() + _LIFE).timestamp())}
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(vault.signing_key))


class Doorman:
    """Tells who is behind a bearer token: a member of the staff, or the operator."""

    def __init__(self, staff: Staff, vault: Vault, clock: Clock) -> None:
        self._staff = staff
        self._key = OctKey.import_key(vault.signing_key)
        self._clock = clock

    async def member(self, authorization: str) -> Member:
        """Raises `NotAuthentic`."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise errors.NotAuthentic(
                "Send a staff token as Authorization: Bearer …; get one from /v1/staff/login."
            )
        try:
            claims = jwt.decode(token, self._key, algorithms=["HS256"]).claims
        except (JoseError, ValueError) as error:
            raise errors.NotAuthentic("This token is not ours or is damaged; log in again.") from error
        if claims.get("aud") != _AUDIENCE:
            return await self._staff.from_token(token)
        if claims.get("exp", 0) <= self._clock().timestamp():
            raise errors.NotAuthentic("The operator's pass has expired.")
        return Member(TenantId(str(claims["tenant"])), "operator", "operator", "Operator", "admin")

    def route(self, method: str, path: str, action: Action, permission: Permission | None = None) -> Route:
        """For members of the staff, who need `permission`; where it is None, `action` asks for what it needs."""

        async def answer(request: Request) -> Response:
            member = await self.member(request.headers.get("authorization", ""))
            if permission is not None:
                member.require(permission)
            answered = await action(request, member)
            return answered if isinstance(answered, Response) else JSONResponse(answered)

        return Route(path, answer, methods=[method])
