"""A customer's conversations over all channels, what of them is open, and the steps by which identities were linked and split.

Drawn by the customer's page; a conversation opens at the desk.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from nicegui import ui

from customers.linking.linker import MATCHER
from operations.console import frame
from operations.console.customer import naming
from operations.console.customer.deeds import Deeds
from operations.console.reading import Titles
from operations.identities.person import Step, Talk

_HOLDERS = {
    "bot": ("desk.with_bot", ""),
    "queue": ("desk.in_queue", "warn"),
    "human": ("desk.mine", "accent"),
}
HISTORY_SHOWN = 12


class Timeline:
    def __init__(self, visit: frame.Visit, deeds: Deeds, titles: Titles) -> None:
        self._visit = visit
        self._words = visit.words
        self._deeds = deeds
        self._titles = titles

    def draw_talks(self, talks: Sequence[Talk], now: datetime) -> None:
        words = self._words
        frame.section(words("customer.talks"), len(talks) or None)
        if not talks:
            ui.label(words("customer.talks_none")).classes("quiet")
        for one in talks:
            self._draw_talk(one, now)

    def draw_matters(self, talks: Sequence[Talk], now: datetime) -> None:
        words = self._words
        frame.section(words("customer.matters"), len(talks) or None, hot=True)
        if not talks:
            ui.label(words("customer.matters_none")).classes("quiet")
        for one in talks:
            with ui.element("a").classes("card matter").props(_address(one)):
                with ui.element("div").classes("row"):
                    self._draw_state(one)
                    if one.approvals:
                        frame.badge(words("customer.approval", n=one.approvals), "bad")
                summary = one.conversation.handoff_summary or one.last_text
                ui.label(summary).classes("quiet small clamp").props("dir=auto")
                since = one.conversation.waiting_since or one.conversation.updated_at
                ui.label(frame.ago(words, since, now)).classes("quiet small")

    def draw_history(self, history: Sequence[Step]) -> None:
        words = self._words
        if not history:
            return
        frame.section(words("customer.history"), len(history))
        for one in history[:HISTORY_SHOWN]:
            self._draw_step(one)

    def _draw_talk(self, one: Talk, now: datetime) -> None:
        words, talk = self._words, one.conversation
        with ui.element("a").classes("item talk-item").props(_address(one)).mark(f"talk-{talk.id}"):
            with ui.element("div").classes("item-top"):
                title = self._titles.get(talk.channel, {}).get(words.language, talk.channel)
                ui.label(title).classes("item-name")
                ui.label(frame.ago(words, talk.updated_at, now)).classes("item-time")
            ui.label(one.last_text or words.kind(one.last_kind)).classes("item-line").props("dir=auto")
            with ui.element("div").classes("row"):
                self._draw_state(one)
                ui.label(f"{talk.created_at.astimezone():%Y-%m-%d %H:%M}").classes("quiet small")

    def _draw_state(self, one: Talk) -> None:
        talk = one.conversation
        if talk.status == "closed":
            frame.badge(self._words("desk.is_closed"))
            return
        key, tone = _HOLDERS[talk.holder]
        frame.badge(self._words(key), tone)
        if talk.handoff_reason and talk.holder != "bot":
            frame.badge(self._words.reason(talk.handoff_reason), "warn")

    def _draw_step(self, one: Step) -> None:
        words, done = self._words, one.operation
        with (
            ui.element("div")
            .classes("card step undone" if one.undone else "card step")
            .mark(f"step-{done.number}")
        ):
            with ui.element("div").classes("row between"):
                ui.label(words(f"deed.{done.kind}", **_values(one))).classes("card-title")
                if one.undone:
                    frame.badge(words("customer.was_undone"))
                elif one.can_be_undone and self._visit.member.may("desk.reply"):
                    undo = partial(self._deeds.undo, done.number)
                    frame.icon("undo", words("customer.undo"), undo).classes("tiny").mark(
                        f"undo-{done.number}"
                    )
            said = words("deed.matcher_reason") if done.actor == MATCHER else done.reason
            ui.label(said).classes("pre").props("dir=auto")
            name = naming.of_author(words, self._deeds.staff, done.actor)
            when = f"{done.at.astimezone():%Y-%m-%d %H:%M}"
            ui.label(words("deed.step", number=done.number, name=name, when=when)).classes("quiet small")


def _values(one: Step) -> dict[str, object]:
    return {"undoes": one.operation.undoes} if one.operation.kind == "undo" else {}


def _address(one: Talk) -> str:
    return f"href=/console?conversation={one.conversation.id}"
