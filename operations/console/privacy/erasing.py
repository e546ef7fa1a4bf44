"""The card that erases a customer: what would go, in numbers; the start with a reason; and how far each erasure is.

The list of erasures is what a supervisor asks for: when, by whom, why, which steps left a receipt. It holds nothing about the
people, because nothing about them is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from nicegui import ui

from customers.privacy.erasure_records import Erasure
from operations.console import frame
from operations.console.customer.asking import Asking, say_done
from operations.console.privacy.card import Card
from operations.privacy.desk import ErasureDesk, Look

GROUPS = {
    "message": "messages", "conversation": "conversations", "media": "files", "web_chat_upload": "files", "identity": "names",
    "identity_claim": "names", "profile_fact": "profile", "profile_tag": "profile", "profile_shard": "profile",
    "profile_event": "profile", "profile_standing": "profile", "behaviour_event": "behaviour", "desk_note": "notes",
    "raw_payload": "payloads", "personal_copy": "copies",
}  # fmt: skip
"""Tables by what people call their rows; the rest are traces."""
TONES = {"done": "good", "waiting": "warn", "erasing": "warn"}


def grouped(counts: Mapping[str, int]) -> dict[str, int]:
    """Most first."""
    found: Counter[str] = Counter()
    for table, rows in counts.items():
        found[GROUPS.get(table, "traces")] += rows
    return dict(found.most_common())


@dataclass(frozen=True, slots=True)
class _Row:
    erasure: Erasure
    by: str


class ErasureCard(Card[ErasureDesk]):
    def draw(self) -> None:
        frame.section(self._words("privacy.erase"))
        ui.label(self._words("privacy.erase_help")).classes("quiet")
        self._look = ui.element("div").classes("card page").mark("erase-look")
        self.forget()
        frame.section(self._words("privacy.past"))
        ui.label(self._words("privacy.past_help")).classes("quiet")
        self._none = ui.label(self._words("privacy.none")).classes("quiet nothing")
        self._list = frame.Keyed[_Row](ui.element("div").mark("erasures"), self._draw_row)

    async def choose(self, customer: str) -> None:
        self._customer = customer
        look = await self._desk.look(self._visit.member, customer)
        self._look.clear()
        with self._look:
            self._draw_look(look)

    def forget(self) -> None:
        self._customer = ""
        self._look.clear()
        with self._look:
            ui.label(self._words("privacy.choose")).classes("quiet")

    async def refresh(self) -> None:
        found = await self._desk.newest(self._visit.member)
        self._none.set_visibility(not found)
        self._list.show([(one.id, _Row(one, self._staff.get(one.actor, one.actor))) for one in found])

    def _draw_look(self, look: Look) -> None:
        words = self._words
        told = words("privacy.look", identities=len(look.identities), talks=look.conversations)
        ui.label(told).classes("card-title").mark("erase-told")
        with ui.element("div").classes("row"):
            for group, rows in grouped(look.counts).items():
                frame.badge(f"{words.named('erased', group)} {rows}")
        for key, number in (("stays", len(look.stays)), ("shared", look.shared), ("in_work", look.in_work)):
            if number:
                ui.label(words(f"privacy.{key}", n=number)).classes("quiet").mark(f"erase-{key}")
        frame.button(self._visit, words("privacy.start"), "delete_forever", self._ask, soft=False).classes(
            "gap"
        ).mark("erase")

    async def _ask(self) -> None:
        async def do(reason: str) -> None:
            await self._desk.start(self._visit.member, self._customer, reason=reason)

        Asking(self._visit, self._words("privacy.ask"), self._words("privacy.ask_help")).open(do, self._done)

    async def _done(self) -> None:
        say_done(self._visit, self._words("privacy.begun"))
        self.on_gone()
        await self.refresh()

    def _draw_row(self, _key: str, row: _Row) -> None:
        one, words = row.erasure, self._words
        with ui.element("div").classes("card").mark(f"erasure-{one.state}"):
            with ui.element("div").classes("row"):
                frame.badge(words.named("erasure_state", one.state), TONES[one.state])
                ui.label(one.id).classes("card-title")
            ui.label(f"{one.begun_at:%Y-%m-%d %H:%M} UTC · {row.by} · {one.reason}").classes("quiet").props(
                "dir=auto"
            )
            done, steps = len(one.receipts), len(self._desk.steps)
            ui.linear_progress(done / steps, show_value=False).props("rounded").mark("erase-progress")
            ui.label(words("privacy.progress", done=done, steps=steps)).classes("quiet small")
            for receipt in one.receipts:
                told = ", ".join(
                    f"{words.named('erased', name)} {rows}"
                    for name, rows in grouped_receipt(receipt.step, receipt.counts).items()
                    if rows
                )
                ui.label(
                    " · ".join(filter(None, [f"✓ {words.named('erasure_step', receipt.step)}", told]))
                ).classes("quiet small")


def grouped_receipt(step: str, counts: Mapping[str, int]) -> dict[str, int]:
    """Of the rows by group, of the other steps one number."""
    return grouped(counts) if step == "rows" else {"things": sum(counts.values())}
