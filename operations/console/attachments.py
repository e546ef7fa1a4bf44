"""What came with a message, on the desk: pictures, players, downloads, places, and what could not be fetched.

Drawn by `console.talk` below the words. Files come from our own address for the staff, never from where a customer's
message points to: opening a conversation tells nobody outside that somebody looks at it, so links are text as well.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from foundation.conversations import Message
from foundation.messages import FILES, Attachment, ConversationId
from operations.console import frame
from operations.staff import Member

FetchAgain = Callable[[Member, ConversationId, str], Awaitable[object]]
"""Fetches what could not be fetched of one message; `service.hearing` keeps it."""

_MAPS = {
    "zh": "https://uri.amap.com/marker?position={longitude},{latitude}",
    "en": "https://www.openstreetmap.org/?mlat={latitude}&mlon={longitude}#map=16/{latitude}/{longitude}",
}
_PLACE_DIGITS = 6
"""Of degrees: a tenth of a metre."""


def draw(visit: frame.Visit, message: Message, fetch_again: FetchAgain) -> None:
    if not message.attachments:
        return
    with ui.element("div").classes("attachments"):
        for one in message.attachments:
            _draw(visit, one)
        if any(one.problem for one in message.attachments):

            async def again() -> None:
                await fetch_again(visit.member, message.conversation_id, message.id)

            frame.button(visit, visit.words("media.again"), "refresh", again).mark("fetch-again")


def icon_line(message: Message) -> str:
    """In place of words, where a message has none: "🎤 when does it arrive", "📎 invoice.pdf"."""
    shown = []
    for one in message.attachments:
        mark = _MARKS.get(one.kind, "📎")
        shown.append(f"{mark} {one.reading or one.name or one.description or ''}".strip())
    return "  ".join(shown)


_MARKS = {"image": "🖼", "voice": "🎤", "video": "🎬", "file": "📎", "location": "📍", "link": "🔗"}


def _draw(visit: frame.Visit, one: Attachment) -> None:
    words = visit.words
    if one.kind == "location":
        _draw_place(visit, one)
    elif one.kind == "link":
        ui.label(one.url or one.name).classes("quiet").props("dir=auto")
    elif one.problem:
        name = one.name or words.kind(one.kind)
        ui.label(words("media.not_fetched", name=name, code=one.problem)).classes("quiet problem")
    elif one.stored:
        _draw_file(visit, one)
    elif one.kind in FILES:
        ui.label(words("media.on_its_way", name=one.name or words.kind(one.kind))).classes("quiet")


def _draw_file(visit: frame.Visit, one: Attachment) -> None:
    address = f"/v1/media/{one.stored}"
    kind = one.media_type.partition("/")[0]
    name = one.name or visit.words.kind(one.kind)
    if kind == "image":
        with _link(address):
            picture = ui.element("img").classes("media")
            picture.props["src"], picture.props["alt"] = address, one.reading or name
    elif kind in ("audio", "video"):
        tag = "audio" if kind == "audio" or one.kind == "voice" else "video"
        player = ui.element(tag).classes("media").props("controls preload=metadata")
        player.props["src"], player.props["aria-label"] = address, name
    if kind not in ("image", "audio", "video") or one.media_type == "audio/amr":
        with _link(address) as link:  # browsers do not play AMR, which many messengers record
            link.props["download"] = name
            ui.label(f"📎 {name} · {_size(one.size)}").props("dir=auto")
    if one.reading and one.kind == "image":
        ui.label(visit.words("media.seen", text=one.reading)).classes("quiet").props("dir=auto")


def _draw_place(visit: frame.Visit, one: Attachment) -> None:
    label = " ".join(part for part in (one.name, one.description) if part)
    if one.latitude is None or one.longitude is None:
        ui.label(f"📍 {label}").props("dir=auto")
        return
    latitude, longitude = round(one.latitude, _PLACE_DIGITS), round(one.longitude, _PLACE_DIGITS)
    with _link(_MAPS[visit.words.language].format(latitude=latitude, longitude=longitude)):
        ui.label(f"📍 {label or visit.words.kind(one.kind)} ({latitude}, {longitude})").props("dir=auto")


def _link(address: str) -> ui.element:
    link = ui.element("a").props("target=_blank rel='noopener noreferrer'")
    link.props["href"] = address
    return link


def _size(size: int) -> str:
    return f"{size / 1_048_576:.1f} MB" if size >= 1_048_576 else f"{max(1, round(size / 1024))} kB"
