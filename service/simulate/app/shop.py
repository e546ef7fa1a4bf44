"""The shop's side of the app: a server that signs user tokens, and a push service that checks who calls it.

The push service keeps the Standard Webhooks scheme: a signature that holds, a fresh time, one notification for one id. It
answers 410 for a handle that is gone, as the push services of phones do.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from channels.adapters.app.settings import AppSettings
from channels.contract import Webhook
from channels.platforms import standard_webhooks
from channels.platforms.signatures import secrets_of
from foundation import errors
from foundation.clock import Clock

TOLERANCE_SECONDS = 300.0
TOKEN_LIFE = timedelta(hours=1)


class Signer:
    """One signing key of the shop's server."""

    def __init__(self, key_id: str, key: OctKey | ECKey | RSAKey, algorithm: str, clock: Clock) -> None:
        self.key_id = key_id
        self._key = key
        self._algorithm = algorithm
        self._clock = clock

    @classmethod
    def of_secret(cls, key_id: str, secret: str, clock: Clock) -> Signer:
        return cls(key_id, OctKey.import_key(secret.encode()), "HS256", clock)

    def token(self, user: str, **claims: Any) -> str:
        """Claims that are given replace ours; None takes one away."""
        now = int(self._clock().timestamp())
        content = {
            "aud": "huiliu", "sub": user, "iat": now, "exp": now + int(TOKEN_LIFE.total_seconds()), **claims,
        }  # fmt: skip
        body = {name: value for name, value in content.items() if value is not None}
        return jwt.encode(
            {"alg": self._algorithm, "kid": self.key_id}, body, self._key, algorithms=[self._algorithm]
        )


def signers(settings: AppSettings, clock: Clock) -> list[Signer]:
    """Of the secrets that the settings name; public keys cannot sign."""
    pairs = [
        part.strip().partition("=") for part in settings.keys.get_secret_value().split(",") if part.strip()
    ]
    return [Signer.of_secret(name.strip(), secret.strip(), clock) for name, _, secret in pairs]


@dataclass(frozen=True, slots=True)
class Notification:
    """What a phone would show."""

    id: str
    data: Mapping[str, Any]


class PushService:
    """`failures` are statuses that the next calls get."""

    def __init__(
        self, settings: AppSettings, clock: Clock, show: Callable[[Notification], None] | None = None
    ) -> None:
        self.seen: list[Notification] = []
        self.calls: list[str] = []
        """The id of each call, repeats included."""
        self.gone: set[str] = set()
        self.failures: deque[int] = deque()
        self.pings = 0
        self._settings = settings
        self._clock = clock
        self._show = show

    def application(self) -> ASGIApp:
        path = urlsplit(self._settings.push_url).path or "/"
        return Starlette(routes=[Route(path, self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        call = Webhook("POST", {}, dict(request.headers), body, self._clock())
        try:
            standard_webhooks.admit(
                call, secrets_of(self._settings.push_secret), tolerance_seconds=TOLERANCE_SECONDS
            )
        except errors.NotAuthentic as error:
            return JSONResponse({"error": {"code": error.code}}, 401)
        content, name = json.loads(body), request.headers["webhook-id"]
        if content["type"] == "ping":
            self.pings += 1
            return Response(status_code=204)
        self.calls.append(name)
        if self.failures:
            return Response(status_code=self.failures.popleft(), headers={"retry-after": "7"})
        if content["data"]["handle"] in self.gone:
            return Response(status_code=410)
        if name not in {one.id for one in self.seen}:
            notification = Notification(name, content["data"])
            self.seen.append(notification)
            if self._show is not None:
                self._show(notification)
        return Response(status_code=204)
