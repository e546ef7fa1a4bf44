"""What every console page shares: who looks, in which language, the bar on top, light and dark, small pieces.

Pages are functions called by `console.pages`; they get a `Visit` and never look at a cookie or a session.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from nicegui import background_tasks, ui

from foundation import errors
from foundation.live import Hub, Signal
from operations.console.words import Words
from operations.staff import Member, Permission

V = TypeVar("V")

Theme = Literal["", "light", "dark"]
"""Empty follows the reader's system."""

_PAGES = Path(__file__).parent / "pages"
_NAVIGATION: tuple[tuple[str, str, Permission], ...] = (
    ("desk", "/console", "desk.read"),
    ("customers", "/console/customers", "desk.reply"),
    ("reviews", "/console/reviews", "customers.edit"),
    ("data", "/console/data", "customers.edit"),
    ("privacy", "/console/privacy", "privacy.erase"),
    ("knowledge", "/console/knowledge", "knowledge.edit"),
    ("prompts", "/console/prompts", "prompts.edit"),
    ("channels", "/console/channels", "channels.manage"),
    ("webhooks", "/console/webhooks", "webhooks.manage"),
)
_UNDER_CUSTOMERS = frozenset(
    {"customers", "reviews", "tags", "segments", "data", "quality", "privacy", "consents", "retention"}
)
"""Pages that share one place in the bar; a second bar shows them when one of them is open."""
_LOG_OUT = "() => fetch('/console/logout', {method: 'POST'}).then(() => location.assign('/console/login'))"
_LOGO = (
    '<svg viewBox="0 0 48 48" width="26" height="26" aria-hidden="true"><path d="M6 12c10 0 10 12 18 12M6 36c10 0 '
    '10-12 18-12M24 24h18" fill="none" stroke="currentColor" stroke-width="5" stroke-linecap="round"/></svg>'
)
_YEAR_SECONDS = 31_536_000


@dataclass(frozen=True, slots=True)
class Visit:
    """One person looking at one page. `is_welcome` asks again: a page may stay open longer than a log-in lasts."""

    member: Member
    words: Words
    theme: Theme
    is_welcome: Callable[[], Awaitable[bool]]
    counts: Mapping[str, int] = field(default_factory=dict)
    """What waits on a page, by its name, beside its name in the bar."""


@dataclass(frozen=True, slots=True)
class _Link:
    name: str
    address: str
    count: int


def draw(visit: Visit, current: str) -> None:
    """The head of the page: style, theme and the bar."""
    ui.add_css((_PAGES / "console.css").read_text(encoding="utf-8"))
    ui.page_title(f"{visit.words('brand')} · {visit.words(f'nav.{current}')}")
    dark = ui.dark_mode({"": None, "light": False, "dark": True}[visit.theme])
    with ui.element("header").classes("h-bar"):
        with ui.element("div").classes("h-brand"):
            ui.html(_LOGO, sanitize=False)
            ui.label(visit.words("brand"))
        with ui.element("nav").classes("h-nav row"):
            _draw_links(visit, *_links(visit, current))
        with ui.element("div").classes("h-right"):
            ui.label(f"{visit.member.name} · {visit.words.role(visit.member.role)}").classes("who")
            icon("forum", visit.words("nav.chat")).props("href=/chat target=_blank")
            icon("contrast", visit.words("nav.theme"), lambda: _toggle(dark))
            icon("translate", visit.words("nav.language"), lambda: _change_language(visit))
            icon("logout", visit.words("nav.out")).on("click", js_handler=_LOG_OUT)
    _draw_second_bar(visit, current)


def _links(visit: Visit, current: str) -> tuple[list[_Link], str]:
    """The first bar: of the pages under customers only the first that the member may see, with all their counts."""
    shown: list[_Link] = []
    for link in _allowed(visit):
        if link.name in _UNDER_CUSTOMERS and shown and shown[-1].name in _UNDER_CUSTOMERS:
            shown[-1] = replace(shown[-1], count=shown[-1].count + link.count)
        else:
            shown.append(link)
    if current not in _UNDER_CUSTOMERS:
        return shown, current
    open_group = next(link for link in shown if link.name in _UNDER_CUSTOMERS)
    return [replace(link, count=0) if link is open_group else link for link in shown], open_group.name


def _draw_second_bar(visit: Visit, current: str) -> None:
    links = [link for link in _allowed(visit) if link.name in _UNDER_CUSTOMERS]
    if current in _UNDER_CUSTOMERS and len(links) > 1:
        with ui.element("nav").classes("h-second row"):
            _draw_links(visit, links, current)


def _allowed(visit: Visit) -> list[_Link]:
    return [
        _Link(name, address, visit.counts.get(name, 0))
        for name, address, permission in _NAVIGATION
        if visit.member.may(permission)
    ]


def _draw_links(visit: Visit, links: Sequence[_Link], on: str) -> None:
    for link in links:
        # Plain anchors: NiceGUI puts its mount path before the addresses of its own links.
        with ui.element("a").props(f"href={link.address}").classes("on" if link.name == on else ""):
            ui.label(visit.words(f"nav.{link.name}"))
            if link.count:
                ui.label(str(link.count)).classes("nav-count").mark(f"count-{link.name}")


def icon(name: str, label: str, action: Callable[[], Any] | None = None) -> ui.button:
    button = ui.button(icon=name, on_click=action, color=None)
    button.props["aria-label"] = label
    return button.props("flat round dense").classes("h-icon").tooltip(label)


def button(
    visit: Visit, text: str, symbol: str, action: Callable[..., Awaitable[None]], *arguments: Any, soft: bool = True
) -> ui.button:  # fmt: skip
    made = ui.button(text, icon=symbol or None, on_click=attempt(visit, action, *arguments), color=None)
    return made.props("unelevated no-caps dense").classes("btn btn-soft" if soft else "btn btn-accent")


def badge(text: str, tone: str = "") -> None:
    ui.label(text).classes(f"badge {tone}")


def section(text: str, count: int | None = None, *, hot: bool = False) -> None:
    with ui.element("div").classes("section"):
        ui.label(text)
        if count is not None:
            ui.label(str(count)).classes("count hot" if hot and count else "count")


def empty(text: str, symbol: str) -> None:
    """An empty state that teaches what would be here."""
    with ui.element("div").classes("empty"):
        ui.icon(symbol)
        ui.label(text)


def ago(words: Words, moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return ""
    seconds = (now - moment).total_seconds()
    if seconds < 60:
        return words("desk.seconds")
    if seconds < 3600:
        return words("desk.minutes", n=int(seconds // 60))
    if seconds < 86_400:
        return words("desk.hours", n=int(seconds // 3600))
    return words("desk.days", n=int(seconds // 86_400))


def show_diff(lines: Sequence[str], nothing: str) -> None:
    """A unified diff, coloured; our own few lines because the editor has no merge view."""
    with ui.element("div").classes("diff"):
        if not lines:
            ui.label(nothing)
        for at, line in enumerate(lines):
            # The first two name the sides; further down a line of dashes is a removed line.
            kind = "at" if at < 2 else {"+": "add", "-": "del", "@": "at"}.get(line[:1], "")
            with ui.element("div").classes(kind):
                ui.label(line.rstrip("\n") or " ")


class Keyed(Generic[V]):
    """Children of one element by key: only what changed is drawn again, so a reader keeps their place, what they
    have selected and what they are writing."""

    def __init__(self, parent: ui.element, draw_one: Callable[[str, V], None], *, classes: str = "") -> None:
        self._parent = parent
        self._draw_one = draw_one
        self._classes = classes
        self._shown: dict[str, tuple[ui.element, V]] = {}

    def show(self, items: Sequence[tuple[str, V]]) -> None:
        keys = {key for key, _ in items}
        for key in [key for key in self._shown if key not in keys]:
            self._shown.pop(key)[0].delete()
        for at, (key, value) in enumerate(items):
            known = self._shown.get(key)
            if known is None:
                with self._parent:
                    box = ui.element("div").classes(self._classes)
            else:
                box = known[0]
            if self._parent.default_slot.children.index(box) != at:
                box.move(self._parent, target_index=at)
            if known is None or known[1] != value:
                box.clear()
                with box:
                    self._draw_one(key, value)
                self._shown[key] = (box, value)


def attempt(
    visit: Visit, action: Callable[..., Awaitable[None]], *arguments: Any
) -> Callable[[], Awaitable[None]]:
    """For buttons: our named errors become a sentence on the page, in place of a broken page."""

    async def run() -> None:
        with ui.context.client:  # what was pressed may be drawn away before its action ends
            if not await visit.is_welcome():
                _leave()
                return
            try:
                await action(*arguments)
            except errors.ServiceError as error:
                sentence = visit.words.problem(error.code, error.public_text)
                ui.notify(sentence, type="negative", position="top", multi_line=True, timeout=8000)

    return run


def listen(
    visit: Visit, hub: Hub, topics: list[str], refresh: Callable[[set[str]], Coroutine[Any, Any, None]], *,
    poll_seconds: float, on_signal: Callable[[Signal], None] = lambda _signal: None,
) -> None:  # fmt: skip
    """Calls `refresh` with the topics in which something changed, at most some times a second, and with none of them
    each `poll_seconds` (another process may have changed something). `on_signal` sees passing sights, too. Ends with
    the page."""
    client = ui.context.client

    async def follow() -> None:
        with hub.listen(*topics) as signals:
            while not client.is_deleted:
                burst = await _next_burst(signals, poll_seconds)
                if not client.has_socket_connection:
                    continue
                changed = {one.topic for one in burst if one.kind not in ("delta", "typing")}
                with client:
                    for one in burst:
                        on_signal(one)
                    if changed or not burst:
                        await _refresh_once(visit, refresh, changed)

    task = background_tasks.create(follow(), name=f"listen {topics}")
    client.on_delete(task.cancel)


def warn_before_leaving(is_unsaved: bool) -> None:
    """The browser asks before it leaves a page with a text that is nowhere else."""
    ui.run_javascript(f"window.onbeforeunload = {'() => true' if is_unsaved else 'null'}")


async def _next_burst(signals: asyncio.Queue[Signal], seconds: float) -> list[Signal]:
    """Signals come in bursts: one refresh serves all of them. Empty after `seconds` of silence."""
    try:
        burst = [await asyncio.wait_for(signals.get(), seconds)]
    except TimeoutError:
        return []
    await asyncio.sleep(0.05)
    while not signals.empty():
        burst.append(signals.get_nowait())
    return burst


async def _refresh_once(
    visit: Visit, refresh: Callable[[set[str]], Coroutine[Any, Any, None]], changed: set[str]
) -> None:
    try:
        if await visit.is_welcome():
            await refresh(changed)
        else:
            _leave()
    except errors.ServiceError:
        return  # the database is away or the conversation gone: the page stays as it is, the next poll looks again


def _leave() -> None:
    """To the entrance, without asking about unsaved texts: nothing of them could be saved any more."""
    ui.run_javascript("window.onbeforeunload = null; location.assign('/console/login')")


async def _toggle(dark: ui.dark_mode) -> None:
    is_dark = await ui.run_javascript("return document.body.classList.contains('body--dark')")
    dark.value = not is_dark
    _keep_cookie("huiliu_theme", "light" if is_dark else "dark")


def _change_language(visit: Visit) -> None:
    _keep_cookie("huiliu_language", "en" if visit.words.language == "zh" else "zh")
    ui.navigate.reload()


def _keep_cookie(name: str, value: str) -> None:
    cookie = json.dumps(f"{name}={value}; path=/; max-age={_YEAR_SECONDS}; samesite=lax")
    ui.run_javascript(f"document.cookie = {cookie}")
