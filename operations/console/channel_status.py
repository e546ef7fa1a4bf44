"""How one account of a channel does, as cards with a state each: traffic, failures, token, reply windows, refused calls.

Called by `console.channels`; draws what it is given and asks nothing. Every card says by a sentence what it means, and
every state is a word beside its colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from nicegui import ui

from channels.platforms.shelf import TokenState
from operations.channel_desk import AccountStatus
from operations.channel_reads import OpenWindow
from operations.console import frame
from operations.console.reading import caller
from operations.console.words import Words

_MINUTE_SECONDS = 60
_HOUR_SECONDS = 3600
_HOURS_UP_TO = 72
"""A window of 48 hours is told in hours: "1 day" would hide half of it."""
UNREADABLE = "unreadable_payload"


@dataclass(frozen=True, slots=True)
class Shown:
    """What one look at an account brings. `now` is rounded, so that a page is drawn again only when it would differ."""

    row: AccountStatus
    windows: Sequence[OpenWindow]
    now: datetime


def draw(words: Words, shown: Shown) -> None:
    row = shown.row
    with ui.element("div").classes("facts").mark("status"):
        _draw_moment(words, "last_in", row.traffic.last_in, shown.now)
        _draw_moment(words, "last_out", row.traffic.last_out, shown.now)
        _draw_errors(words, row)
        with _fact(words, "token"):
            _draw_tokens(words, shown)
        with _fact(words, "window"):
            _draw_windows(words, shown)
        _draw_refused(words, row)
        _draw_dead(words, row)


def draw_badges(words: Words, row: AccountStatus, *, short: bool = False) -> None:
    """The state in a word, and what needs somebody's eye."""
    if row.problem:
        frame.badge(words("channels.broken"), "bad")
    elif not row.is_open:
        frame.badge(words("channels.closed"), "warn")
    elif row.is_demo:
        frame.badge(words("channels.demo_short" if short else "channels.demo"))
    else:
        frame.badge(words("channels.open"), "good")
    if row.traffic.failed:
        frame.badge(words("channels.failed", n=row.traffic.failed), "bad")
    if not row.is_demo and any(one.is_failing() for one in row.tokens):
        frame.badge(words("channels.token_failing"), "bad")


@contextmanager
def _fact(words: Words, name: str) -> Iterator[None]:
    with ui.element("div").classes("card fact").mark(f"fact-{name}"):
        ui.label(words(f"fact.{name}")).classes("field-name")
        yield
        ui.label(words(f"fact.{name}_help")).classes("quiet small")


def _draw_moment(words: Words, name: str, moment: datetime | None, now: datetime) -> None:
    with _fact(words, name):
        ui.label(since(words, moment, now) or words("channels.never")).classes("fact-value")


def _draw_errors(words: Words, row: AccountStatus) -> None:
    traffic = row.traffic
    with _fact(words, "errors"):
        if not traffic.sent and not traffic.failed:
            frame.badge(words("fact.errors_nothing_sent"))
        elif not traffic.failed:
            frame.badge(words("fact.errors_none", n=traffic.sent), "good")
        else:
            share = f"{row.error_rate:.1%}"
            tried = traffic.sent + traffic.failed
            frame.badge(words("fact.errors_some", n=traffic.failed, of=tried, share=share), "bad")


def _draw_tokens(words: Words, shown: Shown) -> None:
    row = shown.row
    if row.is_demo and row.needs_token and not any(one.fetched_at for one in row.tokens):
        frame.badge(words("channels.demo"))
    elif not row.tokens:
        frame.badge(words("fact.token_waits" if row.needs_token else "fact.token_none"))
    else:
        for token in row.tokens:
            _draw_token(words, token, shown.now)


def _draw_token(words: Words, token: TokenState, now: datetime) -> None:
    failed, lasts = token.is_failing(), token.expires_at is not None and token.expires_at > now
    if failed:
        frame.badge(words("fact.token_refused", code=words.refusal(token.failure)), "bad")
    elif lasts:
        frame.badge(words("fact.token_good"), "good")
    else:
        frame.badge(words("fact.token_old"))
    parts = []
    if token.fetched_at is not None:
        parts.append(words("fact.token_fetched", when=since(words, token.fetched_at, now)))
    if token.expires_at is not None and lasts:
        parts.append(words("fact.token_renewed", when=length(words, token.expires_at - now)))
    if token.failed_at is not None:
        when = since(words, token.failed_at, now)
        parts.append(words("fact.token_last_refusal", when=when, code=words.refusal(token.failure)))
    for part in parts:
        ui.label(part).classes("quiet")


def _draw_windows(words: Words, shown: Shown) -> None:
    windows = shown.row.windows
    if windows is None:
        frame.badge(words("fact.window_always"), "good" if shown.row.is_open else "")
        return
    with ui.element("div").classes("row"):
        frame.badge(words("fact.window_open", n=windows.open), "good" if windows.open else "")
        if windows.used_up:
            frame.badge(words("fact.window_used_up", n=windows.used_up), "warn")
    span = length(words, timedelta(seconds=windows.seconds))
    rule = words("fact.window_rule", length=span)
    if windows.quota is not None:
        rule = words("fact.window_rule_quota", length=span, quota=windows.quota)
    ui.label(rule).classes("quiet")
    if not windows.open:
        ui.label(words("fact.window_nobody")).classes("quiet")
    for one in shown.windows:
        _draw_window(words, one, windows.quota, shown.now)


def _draw_window(words: Words, one: OpenWindow, quota: int | None, now: datetime) -> None:
    left = None if quota is None else max(0, quota - one.used)
    with ui.element("div").classes("row window"):
        ui.label(caller(words, "", one.conversation_id))
        ui.label(words("fact.window_closes", when=length(words, one.closes_at - now))).classes("quiet")
        if left is not None:
            frame.badge(words("fact.window_left", n=left, of=quota), "warn" if left == 0 else "")


def _draw_refused(words: Words, row: AccountStatus) -> None:
    refused = {code: number for code, number in row.refused.items() if code != UNREADABLE}
    with _fact(words, "refused"):
        number = sum(refused.values())
        if number:
            frame.badge(words("fact.refused_some", n=number), "warn")
        else:
            frame.badge(words("fact.refused_none"), "good")
        for code, count in sorted(refused.items(), key=lambda one: -one[1]):
            ui.label(words("fact.refused_code", why=words.refusal(code), n=count)).classes("quiet")
        if unread := row.refused.get(UNREADABLE, 0):
            frame.badge(words("fact.unreadable", n=unread), "warn")


def _draw_dead(words: Words, row: AccountStatus) -> None:
    dead = row.traffic.dead
    with _fact(words, "dead"):
        frame.badge(
            words("fact.dead_some", n=dead) if dead else words("fact.dead_none"), "bad" if dead else "good"
        )


def since(words: Words, moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return ""
    long_ago = (now - moment).total_seconds() >= _MINUTE_SECONDS
    when = frame.ago(words, moment, now)
    return words("channels.ago", when=when) if long_ago else when


def length(words: Words, span: timedelta) -> str:
    hours = int(span.total_seconds() // _HOUR_SECONDS)
    if 1 <= hours <= _HOURS_UP_TO:
        return words("desk.hours", n=hours)
    start = datetime.min.replace(tzinfo=UTC)
    return frame.ago(words, start, start + span)
