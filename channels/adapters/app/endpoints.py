"""The app's own routes: sessions, devices, acknowledgements. What follows a session is the family's.

Everything stands below `/v1/app/{account}`; the account that the environment configures is `main`. No cookie is set or
read and every call carries a token, so pages of any origin may call (an app's web view has an origin of its own making).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from limits import RateLimitItemPerSecond
from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from channels import answers
from channels.adapters.app import records
from channels.adapters.app.records import Device, Place
from channels.adapters.app.sessions import Session, SessionForm, Sessions
from channels.contract import Door, Surroundings
from channels.families.live_chat import admission, codec
from channels.families.live_chat.routes import Routes, route
from channels.families.live_chat.sockets import Lobby, Parts
from channels.families.live_chat.uploads import Uploads
from foundation import errors
from foundation.clock import to_milliseconds

WRONG_TOKENS = RateLimitItemPerSecond(60, 60)
"""Of one address; a right one costs nothing here."""
_DEVICE = re.compile(r"[A-Za-z0-9_.:-]{1,100}")


class DeviceForm(codec.Strict):
    handle: str = Field(min_length=1, max_length=4_096)
    """What the push service knows the device by: an APNs or FCM token, or a name of the shop's own."""
    platform: Literal["ios", "android", "harmony", "web", "other"] = "other"


class OpenGate:
    """Whoever has a token. Keeps `admission.Gate`."""

    def enter(self, headers: Mapping[str, str]) -> None:
        """The token decides."""

    def check(self, origin: str) -> None:
        """The token decides."""

    def shares(self, origin: str) -> Mapping[str, str]:
        return {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
            **admission.SHARED,
        }


class Endpoints:
    def __init__(
        self, parts: Parts, lobby: Lobby, files: Uploads, *, sessions: Sessions, surroundings: Surroundings
    ) -> None:  # fmt: skip
        self._parts = parts
        self._sessions = sessions
        self._around = surroundings
        self._talk = Routes(parts, lobby, files)
        self._below = f"/v1/app/{surroundings.account}"

    def routes(self, door: Door) -> Sequence[BaseRoute]:
        gate, below = self._parts.gate, self._below
        return [
            route(gate, f"{below}/sessions", lambda request: self._start(request, door), "POST"),
            route(gate, f"{below}/ack", self._ack, "POST"),
            route(gate, f"{below}/devices/{{device}}", self._device, "PUT", "DELETE"),
            *self._talk.routes(door, below=below, socket=f"{below}/socket"),
        ]

    async def _start(self, request: Request, door: Door) -> Response:
        form = await answers.read_form(request, SessionForm)
        try:
            user = self._sessions.check(form.user_token)
        except errors.NotAuthentic:
            address = request.client.host if request.client else "unknown"
            self._parts.pace.spend(WRONG_TOKENS, "wrong token", address)
            raise
        self._parts.pace.spend(admission.SESSIONS, "session", user.subject)
        session = await self._sessions.start(form.user_token, user, door)
        return JSONResponse(self._shown(session, request), 201, {"Cache-Control": "no-store"})

    def _shown(self, session: Session, request: Request) -> codec.Frame:
        root = str(request.scope.get("root_path", "")).rstrip("/")
        socket = self._around.public_url.rstrip("/").replace("http", "ws", 1) + root + self._below + "/socket"
        return {
            "session_token": session.token,
            "expires_at": to_milliseconds(session.expires_at),
            "conversation_id": session.conversation_id,
            "last_seq": session.last_seq,
            "user": session.user.subject,
            "account": session.user.account or None,
            "ws_url": socket,
        }

    async def _ack(self, request: Request) -> Response:
        """Shown on a screen up to here: what is acknowledged is not pushed."""
        who = self._talk.who(request)
        self._parts.pace.spend(admission.READS, "receipts", who.visitor)
        form = await answers.read_form(request, codec.SeqForm)
        await self._parts.messages.seen(who, delivered=form.seq)
        return Response(status_code=204)

    async def _device(self, request: Request) -> Response:
        who = self._talk.who(request)
        self._parts.pace.spend(admission.READS, "devices", who.visitor)
        name = request.path_params["device"]
        if not _DEVICE.fullmatch(name):
            raise errors.InvalidInput(
                "A device's name has letters, digits and _ . : -, at most 100.", code="bad_device"
            )
        place = Place(who.tenant, self._around.account)
        if request.method == "DELETE":
            await self._around.database.write(
                lambda connection: records.forget_device(connection, place, who.conversation_id, name)
            )
            return Response(status_code=204)
        form = await answers.read_form(request, DeviceForm)
        device = Device(name, form.platform, form.handle)
        key = self._around.vault.lookup_key("app push handle", who.tenant, form.handle)
        await self._around.database.write(
            lambda connection: records.keep_device(
                connection, place, who.conversation_id, device, handle_key=key, now=self._around.clock()
            )
        )
        return Response(status_code=204)
