"""Plays the Bot Service and the connector of Microsoft Teams: activities with signed tokens, and all that the server calls.

One address stands in for three of the platform's: the key service, the login that issues access tokens, and the connector.
It keeps what they keep: tokens by the app's credentials that run out, conversations that exist, sizes of a message.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import httpx
from joserfc import jwt
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from channels.adapters.teams import demo
from channels.adapters.teams.codec import HERO_CARD
from channels.adapters.teams.settings import TeamsSettings
from foundation.clock import Clock
from service.simulate.contract import Call, Options, Shown

TOKEN_SECONDS = 3600
SIZE_LIMIT = 100_000
BUTTONS = 6
PICTURE = b"\x89PNG\r\n\x1a\n simulated"


class TeamsPlatform:
    """`show` is told what reaches a customer. `calls` are the activities that the server posted, for tests."""

    patience_seconds = 15.0

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        assert isinstance(settings, TeamsSettings)
        self.account = settings.or_demo(options.vault)
        self.address = self.account.api_base
        self.service_url = self.address.rstrip("/") + "/"
        self.calls: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.tokens_issued = 0
        self._vault = options.vault
        self._clock = clock
        self._show = show
        self._token = ""
        self._token_until = clock()
        self._users: dict[str, str] = {}
        self._conversations: dict[str, str] = {}
        self._buttons: dict[str, dict[str, dict[str, Any]]] = {}
        self._count = 0

    def application(self) -> Starlette:
        conversation = "/v3/conversations/{conversation}/activities"
        return Starlette(
            routes=[
                Route("/v1/.well-known/keys", self._keys),
                Route("/{tenant}/oauth2/v2.0/token", self._login, methods=["POST"]),
                Route("/v3/conversations", self._begin, methods=["POST"]),
                Route(conversation, self._post, methods=["POST"]),
                Route(f"{conversation}/{{activity}}", self._post, methods=["POST"]),
                Route("/v3/attachments/{attachment}", self._attachment),
            ]
        )

    def know(self, user: str, user_id: str = "") -> str:
        """The id of this customer, the same in every run. Their personal conversation has it behind an `a:`."""
        user_id = user_id or f"29:{hashlib.sha256(f'teams {user}'.encode()).hexdigest()[:24]}"
        self._users[user_id] = user
        self._conversations[f"a:{user_id}"] = user
        return user_id

    def say(self, text: str, *, user: str) -> Call:
        tapped = self._buttons.get(user, {}).get(text)
        if tapped is not None:
            return self.activity(user, type="message", text=tapped["text"], value=tapped["value"])
        return self.activity(user, type="message", text=text, textFormat="plain")

    def activity(self, user: str, **content: Any) -> Call:
        """Any activity of this customer in the personal conversation with the bot."""
        user_id = self.know(user)
        return self.signed(json.dumps(self.envelope(user_id, user) | content).encode())

    def envelope(self, user_id: str, name: str) -> dict[str, Any]:
        self._count += 1
        now = self._clock()
        return {
            "id": str(int(now.timestamp() * 1000) + self._count), "timestamp": now.isoformat(),
            "serviceUrl": self.service_url, "channelId": "msteams",
            "from": {"id": user_id, "name": name, "aadObjectId": hashlib.sha256(user_id.encode()).hexdigest()[:32]},
            "conversation": {
                "id": f"a:{user_id}", "conversationType": "personal", "tenantId": self.account.tenant_id,
            },
            "recipient": {"id": f"28:{self.account.app_id}", "name": "Huiliu"}, "locale": "zh-CN",
        }  # fmt: skip

    def signed(self, body: bytes, *, head: Mapping[str, Any] | None = None, **claims: Any) -> Call:
        """With the claims of the platform, changed by these; None leaves one out."""
        now = int(self._clock().timestamp())
        all_claims: dict[str, Any] = {
            "aud": self.account.app_id, "iss": self.account.issuer, "nbf": now - 60, "exp": now + 3600,
            "serviceurl": self.service_url, **claims,
        }  # fmt: skip
        given = {name: value for name, value in all_claims.items() if value is not None}
        header = {"alg": "RS256", "typ": "JWT", "kid": demo.KEY_ID, **(head or {})}
        token = jwt.encode(header, given, demo.signing_key(self._vault))
        return Call(body, headers={"content-type": "application/json", "authorization": f"Bearer {token}"})

    def forge(self, call: Call) -> Call:
        """The claims are right and the signature is somebody's own."""
        stolen, _, signature = call.headers["authorization"].rpartition(".")
        return replace(call, headers={**call.headers, "authorization": f"{stolen}.{signature[::-1]}"})

    def hear(self, answer: httpx.Response, *, user: str) -> Sequence[Shown]:
        return ()

    def follow_up(self, answer: httpx.Response, *, user: str) -> Call | None:
        return None

    def withdraw_token(self) -> None:
        """As when the secret was changed: what was issued is good no more."""
        self._token = ""

    async def _keys(self, request: Request) -> Response:
        return JSONResponse(demo.key_document(self._vault))

    async def _login(self, request: Request) -> Response:
        async with request.form() as form:
            given = {name: str(value) for name, value in form.items()}
        right = {
            "grant_type": "client_credentials", "client_id": self.account.app_id, "scope": self.account.scope,
            "client_secret": self.account.app_secret.get_secret_value(),
        }  # fmt: skip
        if given != right or request.path_params["tenant"] != self.account.tenant_id:
            return JSONResponse({"error": "invalid_client", "error_description": "AADSTS7000215"}, 401)
        self.tokens_issued += 1
        self._token = f"token-{secrets.token_hex(8)}"
        self._token_until = self._clock() + timedelta(seconds=TOKEN_SECONDS)
        return JSONResponse(
            {"token_type": "Bearer", "expires_in": TOKEN_SECONDS, "access_token": self._token}
        )

    async def _begin(self, request: Request) -> Response:
        if not self._is_authorised(request, self._clock()):
            return _failed(401, "Unauthorized")
        body = await request.json()
        member = body["members"][0]["id"]
        if member not in self._users:
            return _failed(403, "BotNotInConversationRoster")
        return JSONResponse({"id": f"a:{member}"}, 201)

    async def _post(self, request: Request) -> Response:
        if not self._is_authorised(request, self._clock()):
            return _failed(401, "Unauthorized")
        user = self._conversations.get(request.path_params["conversation"])
        if user is None:
            return _failed(404, "ConversationNotFound")
        activity: dict[str, Any] = await request.json()
        if len(json.dumps(activity, ensure_ascii=False).encode("utf-16-le")) > SIZE_LIMIT:
            return _failed(413, "MessageSizeTooBig")
        buttons = [
            button
            for card in activity.get("attachments", ())
            if card["contentType"] == HERO_CARD
            for button in card["content"]["buttons"]
        ]
        if len(buttons) > BUTTONS or (
            activity["type"] == "message" and not (activity.get("text") or buttons)
        ):
            return _failed(400, "BadSyntax")
        self._deliver(user, activity, buttons)
        self.paths.append(request.url.path)
        self._count += 1
        return JSONResponse({"id": f"1:{self._count}"}, 201)

    def _deliver(self, user: str, activity: dict[str, Any], buttons: list[dict[str, Any]]) -> None:
        self.calls.append(activity)
        if activity["type"] == "typing":
            self._show(Shown(user=user, kind="typing"))
            return
        if buttons:
            self._buttons[user] = {button["title"]: button for button in buttons}
        choices = tuple((button["text"], button["title"]) for button in buttons)
        self._show(Shown(user=user, text=activity.get("text", ""), choices=choices))

    async def _attachment(self, request: Request) -> Response:
        if not self._is_authorised(request, self._clock()):
            return _failed(401, "Unauthorized")
        return Response(PICTURE, media_type="image/png")

    def _is_authorised(self, request: Request, now: datetime) -> bool:
        given = request.headers.get("authorization", "")
        return bool(self._token) and given == f"Bearer {self._token}" and now < self._token_until


def _failed(status: int, code: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": code}}, status)
