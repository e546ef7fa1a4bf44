"""The right side of the desk: who this is, what they have, how they feel, and what the bot did and why.

Drawn by `console.desk`; shows a `View` and reads nothing itself. Each section is drawn again only when it changed, so a
note that is being written survives the customer's next message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from nicegui import ui

from agent.records import ApprovalRow, TurnRow
from customers.directory import Proof
from foundation.clock import Clock
from foundation.messages import ConversationId, Observation
from operations.console import frame
from operations.console.customer.identity_card import IdentityCard
from operations.console.customer.order_cards import draw_orders
from operations.console.customer.profile_card import ProfileCard
from operations.console.reading import View, caller
from operations.desk import SYSTEM, Desk, Note

TURNS_SHOWN = 8
_EMOTION_TONES = {"angry": "bad", "disappointed": "warn", "anxious": "warn", "happy": "good"}
_PROOFS = {
    Proof.ACCOUNT_AND_CODE: ("desk.proven", "good"),
    Proof.ACCOUNT: ("desk.proven", "good"),
    Proof.CODE: ("desk.proven_by_code", "good"),
    Proof.CHANNEL: ("desk.channel_only", "warn"),
    Proof.ANONYMOUS: ("desk.not_proven", "warn"),
}
_CURVE_WIDTH, _CURVE_HEIGHT = 288, 64


@dataclass(frozen=True, slots=True)
class _Section:
    """Drawn again when `value` is another."""

    value: object
    draw: Callable[[], None] = field(compare=False)


class SidePanel:
    def __init__(self, visit: frame.Visit, desk: Desk, now: Clock, *, identities: IdentityCard) -> None:
        self._now = now
        self._identities = identities
        self._visit = visit
        self._words = visit.words
        self._desk = desk
        self._note_drafts: dict[str, str] = {}
        self._profile = ProfileCard(visit.words)

    def draw(self, *, on_back: Callable[[], None]) -> None:
        frame.icon("arrow_back", self._words("desk.back"), on_back).classes("middle-only")
        self._sections = frame.Keyed[_Section](
            ui.element("div").classes("sections"), lambda _key, section: section.draw()
        )

    def show(self, view: View) -> None:
        conversation, person = view.conversation, view.person
        name = caller(self._words, view.name, conversation.id)
        proof = person.proof if person else Proof.ANONYMOUS
        account = (person.account or "") if person else ""
        who = (view.orders.name or name, proof, account, conversation.language, view.orders.level)
        summary, curve = (
            conversation.handoff_summary or "",
            [(turn.valence, turn.emotion) for turn in view.turns],
        )
        seen = [(self._said(one), frame.ago(self._words, one.at, self._now())) for one in view.behaviour]
        sections = [
            *((one.id, _Section(one, partial(self._draw_approval, one))) for one in view.approvals),
            ("person", _Section(who, partial(self._draw_person, *who))),
            ("identities", _Section(view.identities, partial(self._draw_identities, view))),
            ("profile", _Section(self._profile.key(view), partial(self._profile.draw, view))),
            ("summary", _Section(summary, partial(self._draw_summary, summary))),
            ("emotion", _Section(curve, partial(self._draw_emotion, curve))),
            ("seen", _Section(seen, partial(self._draw_behaviour, seen))),
            ("notes", _Section(view.notes, partial(self._draw_notes, view.notes))),
            ("note box", _Section(conversation.id, partial(self._draw_note_box, conversation.id))),
            ("orders", _Section(view.orders, partial(draw_orders, self._words, view.orders))),
            ("turns", _Section(view.turns, partial(self._draw_turns, view.turns[-TURNS_SHOWN:]))),
        ]
        self._sections.show(sections)

    def _draw_identities(self, view: View) -> None:
        """Who else this is, and a way to the whole person."""
        if not view.identities or view.person is None:
            return
        customer = view.person.customer_id
        self._identities.draw(customer, view.identities, self._now())
        with (
            ui.element("a").classes("whole").props(f"href=/console/customers/{customer}").mark("whole-person")
        ):
            ui.icon("person_search")
            ui.label(self._words("customer.whole"))

    def _draw_summary(self, summary: str) -> None:
        if summary:
            frame.section(self._words("desk.summary"))
            ui.label(summary).classes("card pre").props("dir=auto")

    def _draw_approval(self, approval: ApprovalRow) -> None:
        words = self._words

        async def decide(approved: bool) -> None:
            await self._desk.decide(
                self._visit.member, approval.id, approved=approved, reason=str(reason.value or "")
            )
            ui.notify(words("desk.decided"), type="positive", position="top")

        with ui.element("div").classes("card call").mark(f"approval-{approval.id}"):
            ui.label(words("desk.approval")).classes("card-title")
            amount = f"¥ {approval.amount}" if approval.amount else ""
            facts = (words.tool(approval.tool), approval.order_no, amount)
            ui.label(" · ".join(fact for fact in facts if fact))
            ui.label(words.reason(approval.reason)).classes("quiet")
            if not self._visit.member.may("desk.approve"):
                ui.label(words("desk.approval_others")).classes("quiet")
                return
            reason = ui.input(placeholder=words("desk.approval_reason")).props("dense outlined")
            reason.classes("dark-input w-full").mark("approval-reason")
            with ui.element("div").classes("row gap"):
                for approved, key in ((True, "desk.approve"), (False, "desk.decline")):
                    frame.button(self._visit, words(key), "", decide, approved, soft=not approved).mark(key)

    def _draw_person(self, name: str, proof: Proof, account: str, language: str, level: str) -> None:
        frame.section(self._words("desk.customer"))
        with ui.element("div").classes("card"):
            ui.label(name).classes("card-title").props("dir=auto")
            with ui.element("div").classes("row gap"):
                key, tone = _PROOFS[proof]
                frame.badge(self._words(key), tone)
                if account and account != name:
                    frame.badge(account)
                frame.badge(self._words.spoken(language))
                if level:
                    frame.badge(self._words.level(level), "accent")

    def _draw_emotion(self, curve: Sequence[tuple[float, str]]) -> None:
        """Valence over the conversation, from -1 (furious, at the bottom) to 1 (delighted)."""
        if len(curve) < 2:
            return
        _, last = curve[-1]
        frame.section(self._words("desk.emotion"))
        with ui.element("div").classes("card"):
            with ui.element("div").classes("row between"):
                ui.label(self._words("desk.emotion_now")).classes("quiet")
                frame.badge(self._words.emotion(last), _EMOTION_TONES.get(last, ""))
            ui.html(_curve([valence for valence, _ in curve]), sanitize=False)

    def _draw_behaviour(self, seen: Sequence[tuple[str, str]]) -> None:
        if not seen:
            return
        frame.section(self._words("desk.behaviour"))
        with ui.element("div").classes("card").mark("behaviour"):
            for said, since in seen:
                with ui.element("div").classes("row between"):
                    ui.label(said).props("dir=auto")
                    ui.label(since).classes("quiet small")

    def _said(self, seen: Observation) -> str:
        """ "Looked at …": the product, page or address, whichever the shop named."""
        what = seen.title or seen.product or seen.page or seen.url
        known = self._words.behaviour(seen.type)
        return known.format(
            type=seen.type,
            what=what,
            query=seen.query,
            target=seen.target or what,
            seconds=round(seen.seconds),
        )

    def _draw_notes(self, notes: Sequence[Note]) -> None:
        frame.section(self._words("desk.note"), len(notes) or None)
        if not notes:
            ui.label(self._words("desk.notes_empty")).classes("quiet")
        for note in notes:
            with ui.element("div").classes("card note"):
                said = self._words.failure(note.text) if note.author == SYSTEM else note.text
                ui.label(said).classes("pre").props("dir=auto")
                author = self._words("role.system") if note.author == SYSTEM else note.author
                ui.label(f"{author} · {note.moment.astimezone():%m-%d %H:%M}").classes("quiet small")

    def _draw_note_box(self, conversation_id: ConversationId) -> None:
        if not self._visit.member.may("desk.reply"):
            return

        async def keep() -> None:
            text = str(box.value or "").strip()
            if text:
                await self._desk.note(self._visit.member, conversation_id, text)
                box.set_value("")

        def remember() -> None:
            self._note_drafts[conversation_id] = str(box.value or "")

        box = ui.input(
            placeholder=self._words("desk.note_here"), value=self._note_drafts.get(conversation_id, ""),
            on_change=remember,
        )  # fmt: skip
        box.props("dense outlined").classes("dark-input w-full").mark("note")
        box.on("keydown.enter", frame.attempt(self._visit, keep))

    def _draw_turns(self, turns: Sequence[TurnRow]) -> None:
        frame.section(self._words("desk.turns"))
        if not turns:
            ui.label(self._words("desk.turns_empty")).classes("quiet")
        for turn in reversed(turns):
            with ui.element("div").classes("card turn"):
                self._draw_turn(turn)

    def _draw_turn(self, turn: TurnRow) -> None:
        words = self._words
        with ui.element("div").classes("row between"):
            ui.label(words.intent(turn.intent or turn.status)).classes("card-title")
            ui.label(f"{turn.confidence:.0%}").classes("quiet")
        with ui.element("div").classes("row"):
            frame.badge(words.rung(turn.rung), "accent")
            frame.badge(words.emotion(turn.emotion), _EMOTION_TONES.get(turn.emotion, ""))
            if turn.handoff_reason:
                frame.badge(words.reason(turn.handoff_reason), "warn")
            for part in turn.degraded:
                frame.badge(words("desk.degraded", part=part), "bad")
        tools = ", ".join(f"{words.tool(tool['name'])} {'✓' if tool['ok'] else '✗'}" for tool in turn.tools)
        sources = ", ".join(f"{one['title']} v{one['version']}" for one in turn.citations)
        for key, text in (("desk.tools", tools), ("desk.sources", sources)):
            if text:
                ui.label(words("desk.fact", name=words(key), value=text)).classes("quiet")
        parts = " · ".join(f"{name} {spent:.0f}" for name, spent in turn.milliseconds.items())
        foot = f"{turn.model or words('desk.no_model')} · {turn.total_milliseconds:.0f} ms"
        ui.label(foot).classes("quiet small").tooltip(parts)


def _curve(valences: Sequence[float]) -> str:
    """Our own few lines of SVG, of numbers only: it follows the theme's colours and costs no chart library."""
    step = (_CURVE_WIDTH - 12) / (len(valences) - 1)
    middle = _CURVE_HEIGHT / 2
    points = [
        (6 + step * at, middle - max(-1.0, min(1.0, valence)) * (middle - 7))
        for at, valence in enumerate(valences)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" class="{"low" if y > middle + 6 else "high"}"/>'
        for x, y in points
    )
    return (
        f'<svg class="curve" viewBox="0 0 {_CURVE_WIDTH} {_CURVE_HEIGHT}" role="img">'
        f'<line x1="0" x2="{_CURVE_WIDTH}" y1="{middle}" y2="{middle}"/><polyline points="{line}"/>{dots}</svg>'
    )
