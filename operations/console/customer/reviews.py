"""The review page: one pair at a time, side by side, with what differs, the score and its reasons, and a decision by key.

Called by `console.pages`. Who skips a pair sees it again when the page is opened anew. The reason is written already, from the
fields that agree or differ, and can be changed: two keys decide a clear pair.
"""

from __future__ import annotations

from nicegui import events, ui

from operations.console import frame
from operations.console.customer import naming
from operations.console.customer.asking import Asking, say_done
from operations.console.customer.identity_card import percent
from operations.console.reading import DeskReading
from operations.identities.parts import Identities
from operations.identities.reviews import Field, Pair, Side


class ReviewsPage:
    def __init__(self, visit: frame.Visit, parts: Identities, reading: DeskReading) -> None:
        self._visit = visit
        self._words = visit.words
        self._parts = parts
        self._reading = reading
        self._skipped: set[tuple[str, str]] = set()
        self._pair: Pair | None = None
        self._asking = False

    async def draw(self) -> None:
        frame.draw(self._visit, "reviews")
        self._work = ui.element("div").classes("work review")
        ui.keyboard(self._key, ignore=["input", "select", "textarea"])
        await self._show_next()

    async def _show_next(self) -> None:
        left, pairs = await self._parts.reviews.waiting(self._visit.member)
        self._pair = next((one for one in pairs if _key_of(one) not in self._skipped), None)
        if self._pair is None and pairs:  # all were skipped: from the start
            self._skipped.clear()
            self._pair = pairs[0]
        self._work.clear()
        with self._work:
            if self._pair is None:
                frame.empty(self._words("review.teach"), "rule")
            else:
                self._draw_pair(self._pair, left)

    def _draw_pair(self, pair: Pair, left: int) -> None:
        words = self._words
        with ui.element("div").classes("row between"):
            with ui.element("div").classes("row"):
                ui.label(words("review.question")).classes("work-title")
                frame.badge(words("review.score", score=percent(pair.item.score)), "warn")
                if pair.drawn:
                    with ui.element("span").tooltip(words("review.drawn_help")):
                        frame.badge(words("review.drawn"), "accent")
            ui.label(words("review.left", n=left)).classes("quiet").mark("reviews-left")
        for what in pair.conflicts:
            with ui.element("div").classes("card conflict").mark(f"review-conflict-{what}"):
                ui.label(words("review.conflict", what=words.named("name_of", what)))
        with ui.element("div").classes("pair").mark("pair"):
            ui.label(words("review.field")).classes("pair-head field-name")
            self._draw_side(pair.left)
            self._draw_side(pair.right)
            for field in pair.fields:
                self._draw_field(field)
        if pair.item.reasons:
            frame.section(words("review.why"))
            naming.draw_reasons(words, pair.item.reasons)
        self._draw_buttons(pair)

    def _draw_side(self, side: Side) -> None:
        name = naming.of_namespace(self._words, self._reading.titles, side.namespace)
        with ui.element("div").classes("pair-head"):
            ui.label(name).classes("quiet small")
            with ui.element("a").props(f"href=/console/customers/{side.identity_id} target=_blank"):
                ui.label(side.value).classes("card-title").props("dir=auto")
            ui.label(
                f"{side.first_seen.astimezone():%Y-%m-%d} – {side.last_seen.astimezone():%Y-%m-%d}"
            ).classes("quiet small")

    def _draw_field(self, field: Field) -> None:
        words = self._words
        kind = "differs" if field.differs else "agrees" if field.left and field.right else "alone"
        with ui.element("div").classes(f"pair-name {kind}"):
            ui.label(words.named("name_of", field.name))
            if field.differs:
                frame.badge(words("review.differs"), "bad")
        for value, claimed in zip((field.left, field.right), field.claimed, strict=True):
            with ui.element("div").classes(f"pair-value {kind}"):
                ui.label(value or words("review.unknown")).classes("" if value else "quiet").props("dir=auto")
                if claimed:
                    frame.badge(words("review.claimed"))

    def _draw_buttons(self, pair: Pair) -> None:
        words = self._words
        if pair.refused:
            why = words.problem(pair.refused, pair.refused)
            ui.label(words("review.cannot", why=why)).classes("card call").mark("review-refused")
        with ui.element("div").classes("row review-foot"):
            same = frame.button(
                self._visit, f"{words('review.same')} · S", "done_all", self._same, soft=False
            )
            same.mark("review-same").set_enabled(not pair.refused)
            other = frame.button(self._visit, f"{words('review.different')} · D", "close", self._different)
            other.mark("review-different")
            frame.button(self._visit, f"{words('review.skip')} · N", "skip_next", self._skip).mark(
                "review-skip"
            )
            ui.label(words("review.keys")).classes("quiet small")

    async def _same(self) -> None:
        if self._pair is not None and not self._pair.refused:
            self._ask(self._pair, same=True)

    async def _different(self) -> None:
        if self._pair is not None:
            self._ask(self._pair, same=False)

    async def _skip(self) -> None:
        if self._pair is not None:
            self._skipped.add(_key_of(self._pair))
            await self._show_next()

    def _ask(self, pair: Pair, *, same: bool) -> None:
        words = self._words

        async def do(reason: str) -> None:
            await self._parts.reviews.decide(
                self._visit.member, pair.item.a, pair.item.b, same=same, reason=reason
            )

        async def after() -> None:
            say_done(self._visit, words("review.decided"))
            await self._show_next()

        keys = ("customer.confirm_title", "customer.confirm_help") if same else (
            "customer.reject_title", "customer.reject_help",
        )  # fmt: skip
        title, text = keys
        Asking(self._visit, words(title), words(text)).open(
            do, after, reason=self._suggested(pair, same=same)
        )

    def _suggested(self, pair: Pair, *, same: bool) -> str:
        told = [one.name for one in pair.fields if one.left and one.right and one.differs is not same]
        if not told:
            return ""
        names = ("、" if self._words.language == "zh" else ", ").join(
            self._words.named("name_of", one) for one in told
        )
        return self._words("review.same_reason" if same else "review.different_reason", fields=names)

    async def _key(self, event: events.KeyEventArguments) -> None:
        modifiers = event.modifiers
        if not event.action.keydown or modifiers.ctrl or modifiers.meta or modifiers.alt:
            return
        deed = {"s": self._same, "d": self._different, "n": self._skip}.get(str(event.key.name).lower())
        if deed is not None:
            await frame.attempt(self._visit, deed)()


def _key_of(pair: Pair) -> tuple[str, str]:
    return pair.item.a, pair.item.b
