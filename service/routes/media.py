"""Files that customers sent, for the staff alone: with a staff token, or the cookie of the console.

Nothing that a customer sent is ever a page of ours: only pictures, sound and films that are what they say by their first
bytes are shown in place, everything else is a download, and none of it may run anything or be guessed about.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from channels.media import kinds
from foundation.messages import ConversationId
from operations.console.entrance import COOKIE
from operations.staff import Member
from service.operator import Doorman

if TYPE_CHECKING:
    from service.wiring import System

_RANGE = re.compile(r"bytes=(\d{1,12})?-(\d{1,12})?", re.ASCII)
_HEADERS = {  # nosniff is on every answer
    "Content-Security-Policy": "default-src 'none'; media-src 'self'; img-src 'self'; style-src 'unsafe-inline'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-store",
    "Accept-Ranges": "bytes",
}


class MediaRoutes:
    def __init__(self, system: System, doorman: Doorman) -> None:
        self._system = system
        self._doorman = doorman

    def routes(self) -> list[BaseRoute]:
        fetch = "/v1/desk/conversations/{id}/messages/{message_id}/fetch"
        return [
            Route("/v1/media/{id}", self._file, methods=["GET"]),
            Route(fetch, self._fetch_again, methods=["POST"]),
        ]

    async def _file(self, request: Request) -> Response:
        member = await self._viewer(request)
        member.require("desk.read")
        file, content = await self._system.hearing.file(member.tenant, request.path_params["id"])
        shown = file.media_type in kinds.SHOWN
        headers = {**_HEADERS, "Content-Disposition": kinds.disposition(file.name, inline=shown)}
        kind = file.media_type if shown else kinds.UNKNOWN
        return _ranged(request.headers.get("range", ""), content, kind, headers)

    async def _fetch_again(self, request: Request) -> Response:
        """By token only: no other site's form may start it."""
        member = await self._doorman.member(request.headers.get("authorization", ""))
        found = await self._system.hearing.fetch_again(
            member, ConversationId(request.path_params["id"]), request.path_params["message_id"]
        )
        return JSONResponse({"attachments": [one.model_dump(exclude={"url", "media_id"}) for one in found]})

    async def _viewer(self, request: Request) -> Member:
        """Pictures of a page bring the console's cookie. Raises `NotAuthentic`."""
        authorization, cookie = request.headers.get("authorization", ""), request.cookies.get(COOKIE, "")
        if cookie and not authorization:
            return await self._system.staff.from_token(cookie)
        return await self._doorman.member(authorization)


def _ranged(asked: str, content: bytes, kind: str, headers: dict[str, str]) -> Response:
    """Players ask for pieces (RFC 9110, 14.2): one range is served, anything else gets the whole."""
    found = _RANGE.fullmatch(asked.strip())
    size = len(content)
    if found is None or found.groups() == (None, None):
        return Response(content, media_type=kind, headers=headers)
    first, last = found.groups()
    start = int(first) if first is not None else max(0, size - int(last or 0))
    end = min(int(last), size - 1) if first is not None and last is not None else size - 1
    if start >= size or start > end:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    told = {**headers, "Content-Range": f"bytes {start}-{end}/{size}"}
    return Response(content[start : end + 1], 206, media_type=kind, headers=told)
