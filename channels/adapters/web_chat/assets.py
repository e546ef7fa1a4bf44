"""The customer's pages as they are sent: plain files, read once, with a policy that lets no foreign script in.

The chat page may stand in frames of the allowed origins and nowhere else; that is what makes the exact-origin
`postMessage` between widget and page safe.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from channels.families.live_chat.admission import Origins

FOLDER = Path(__file__).parent / "pages"
_FILES = {
    "/chat": ("chat.html", "text/html; charset=utf-8"),
    "/chat/chat.js": ("chat.js", "text/javascript; charset=utf-8"),
    "/chat/browser.js": ("browser.js", "text/javascript; charset=utf-8"),
    "/chat/line.js": ("line.js", "text/javascript; charset=utf-8"),
    "/chat/view.js": ("view.js", "text/javascript; charset=utf-8"),
    "/chat/chat.css": ("chat.css", "text/css; charset=utf-8"),
    "/chat/words.json": ("words.json", "application/json"),
    "/chat/icon.svg": ("icon.svg", "image/svg+xml"),
    "/widget.js": ("widget.js", "text/javascript; charset=utf-8"),
}


class Assets:
    def __init__(self, origins: Origins) -> None:
        self._headers = {"Content-Security-Policy": _policy(origins), "X-Content-Type-Options": "nosniff"}

    def routes(self) -> list[BaseRoute]:
        return [self._route(path, *entry) for path, entry in _FILES.items()]

    def _route(self, path: str, file: str, media_type: str) -> Route:
        body = (FOLDER / file).read_bytes()
        headers = {
            **self._headers,
            "ETag": f'"{hashlib.sha256(body).hexdigest()[:20]}"',
            "Cache-Control": "no-cache",
        }

        async def send(request: Request) -> Response:
            if request.headers.get("if-none-match") == headers["ETag"]:
                return Response(status_code=304, headers=headers)
            return Response(body, media_type=media_type, headers=headers)

        return Route(path, send)


def _policy(origins: Origins) -> str:
    sockets = " ".join(sorted(origin.replace("http", "ws", 1) for origin in origins.own))
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob:",
            "media-src 'self' blob:",
            f"connect-src 'self' {sockets}",
            "base-uri 'none'",
            "form-action 'none'",
            f"frame-ancestors {origins.frame_ancestors()}",
        )
    )
