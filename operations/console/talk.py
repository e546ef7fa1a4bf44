"""The middle of the desk: one conversation as it is said, who holds it, and the box to answer in.

Drawn by `console.desk`. What somebody wrote and did not send stays with its conversation, also when sending failed;
the same words sent again after a failure carry the same key and are said once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from nicegui import ui

from foundation import errors
from foundation.conversations import Message
from foundation.messages import ConversationId
from foundation.security import random_token
from operations.console import attachments, frame
from operations.console.reading import View, caller
from operations.desk import Desk

TYPING_SECONDS = 6.0


class Talk:
    def __init__(
        self,
        visit: frame.Visit,
        desk: Desk,
        *,
        on_changed: Callable[[], Awaitable[None]],
        on_pane: Callable[[str], None],
        fetch_again: attachments.FetchAgain,
    ) -> None:
        self._visit = visit
        self._words = visit.words
        self._desk = desk
        self._on_changed = on_changed
        self._on_pane = on_pane
        self._fetch_again = fetch_again
        self._chosen: ConversationId | None = None
        self._last_seq = 0
        self._is_mine = False
        self._drafts: dict[ConversationId, str] = {}
        self._unsent: tuple[ConversationId, str, str] | None = None

    def draw(self) -> None:
        self._head = frame.Keyed[tuple[object, ...]](
            ui.element("div").classes("talk-head"), self._draw_head, classes="talk-head-row"
        )
        with ui.element("div").classes("talk-lines").props('role="log" aria-live="polite"'):
            self._nothing = ui.element("div").classes("empty")
            with self._nothing:
                ui.icon("forum")
                ui.label(self._words("desk.choose"))
            self._lines = frame.Keyed[Message](
                ui.element("div").classes("lines"), self._draw_message, classes="line-place"
            )
            self._typing = ui.label(self._words("desk.customer_typing")).classes("quiet")
            self._typing.set_visibility(False)
        with ui.element("div").classes("talk-foot") as self._foot:
            self._hint = ui.label(self._words("desk.take_first")).classes("quiet")
            with ui.element("div").classes("reply") as self._reply:
                self._draw_reply_box()
        self._foot.set_visibility(False)

    def _draw_reply_box(self) -> None:
        self._box = ui.textarea(placeholder=self._words("desk.reply_here"))
        self._box.props("autogrow outlined dense input-style='max-height:30vh'").classes("dark-input grow")
        self._box.mark("reply")
        send = frame.attempt(self._visit, self.send)
        self._box.on("keydown.ctrl.enter", send)
        self._box.on("keydown.meta.enter", send)
        frame.button(self._visit, self._words("desk.send"), "send", self.send, soft=False).mark("send")

    def open(self, conversation_id: ConversationId) -> None:
        """Before the first `show` of a conversation: keeps the words for the one before, brings back its own."""
        if self._chosen is not None:
            self._drafts[self._chosen] = str(self._box.value or "")
        self._chosen, self._last_seq = conversation_id, 0
        self._box.set_value(self._drafts.pop(conversation_id, ""))
        self._typing.set_visibility(False)

    def show(self, view: View) -> None:
        conversation = view.conversation
        self._nothing.set_visibility(False)
        self._is_mine = conversation.holder == "human" and conversation.held_by == self._visit.member.id
        head = (
            view.name,
            conversation.id,
            conversation.holder,
            conversation.status,
            self._is_mine,
            view.holder_name,
        )
        self._head.show([("head", head)])
        self._lines.show([(f"{conversation.id}-{message.seq}", message) for message in view.messages])
        self._foot.set_visibility(self._visit.member.may("desk.reply"))
        self._reply.set_visibility(self._is_mine)
        self._hint.set_visibility(not self._is_mine)
        if conversation.last_seq != self._last_seq:
            self._scroll_down(always=not self._last_seq)
            self._last_seq = conversation.last_seq
            self._typing.set_visibility(False)

    def show_typing(self) -> None:
        self._typing.set_visibility(True)
        with self._foot:
            ui.timer(TYPING_SECONDS, lambda: self._typing.set_visibility(False), once=True)

    def focus(self) -> None:
        if self._is_mine:
            self._box.run_method("focus")

    async def take(self) -> None:
        if self._chosen:
            await self._desk.take_over(self._visit.member, self._chosen)
            self._say("desk.taken")
            await self._on_changed()
            self.focus()

    async def give_back(self) -> None:
        if self._chosen:
            await self._desk.give_back(self._visit.member, self._chosen)
            self._say("desk.given_back")
            await self._on_changed()

    async def close(self) -> None:
        if self._chosen:
            await self._desk.close(self._visit.member, self._chosen)
            self._say("desk.closed")
            await self._on_changed()

    async def send(self) -> None:
        text, chosen = str(self._box.value or "").strip(), self._chosen
        if chosen is None or not text:
            return
        self._box.set_value("")  # before the first wait, so that a second press finds nothing to send
        key = random_token(12)
        if self._unsent is not None and self._unsent[:2] == (chosen, text):
            key = self._unsent[2]
        try:
            await self._desk.reply(self._visit.member, chosen, text, key=key)
        except errors.ServiceError:
            self._unsent = (chosen, text, key)
            self._bring_back(chosen, text)
            raise
        self._unsent = None
        await self._on_changed()

    def _bring_back(self, conversation_id: ConversationId, text: str) -> None:
        if self._chosen == conversation_id:
            since = str(self._box.value or "")
            self._box.set_value(f"{text}\n{since}" if since else text)
        else:
            self._drafts[conversation_id] = f"{text}\n{self._drafts.get(conversation_id, '')}".strip()

    def _draw_head(self, _key: str, head: tuple[object, ...]) -> None:
        name, conversation_id, holder, status, is_mine, holder_name = head
        words = self._words
        frame.icon("arrow_back", words("desk.back"), lambda: self._on_pane("list")).classes("narrow-only")
        shown = caller(words, str(name), ConversationId(str(conversation_id)))
        ui.label(shown).classes("talk-name").props("dir=auto")
        if status == "closed":
            frame.badge(words("desk.is_closed"))
        elif holder == "human":
            held = words("desk.held_by", name=holder_name or words("desk.platform_people"))
            frame.badge(words("desk.me") if is_mine else held, "good")
        else:
            frame.badge(
                words("desk.in_queue" if holder == "queue" else "desk.with_bot"),
                "warn" if holder == "queue" else "",
            )
        ui.space()
        if self._visit.member.may("desk.reply"):
            self._draw_powers(is_mine=bool(is_mine), is_held=holder == "human")
        frame.icon("person", words("desk.customer"), lambda: self._on_pane("side")).classes("middle-only")

    def _draw_powers(self, *, is_mine: bool, is_held: bool) -> None:
        powers: tuple[tuple[str, str, Callable[[], Awaitable[None]]], ...] = ()
        if is_mine:
            powers = (
                ("desk.give_back", "smart_toy", self.give_back),
                ("desk.close", "done_all", self.close),
            )
        elif not is_held:
            powers = (("desk.take", "front_hand", self.take),)
        for key, symbol, action in powers:
            frame.button(self._visit, self._words(key), symbol, action, soft=is_mine).mark(key)

    def _draw_message(self, _key: str, message: Message) -> None:
        words = self._words
        with ui.element("div").classes(f"line {message.role}"):
            if said := _said(message):
                ui.label(said).classes("bubble").props("dir=auto")
            attachments.draw(self._visit, message, self._fetch_again)
            with ui.element("div").classes("meta"):
                ui.label(message.author or words(f"role.{message.role}"))
                ui.label(f"{message.sent_at.astimezone():%H:%M}")
                if message.role in ("bot", "agent"):
                    self._draw_state(message)
                for citation in message.citations:
                    frame.badge(f"{citation.title} v{citation.version}", "accent")

    def _draw_state(self, message: Message) -> None:
        """What failed says why, and can be sent again; what went another way says which."""
        words = self._words
        if message.state == "redirected":
            ui.label(words("state.redirected", channel=message.error or "")).mark("redirected")
            return
        shown = ui.label(words(f"state.{message.state}"))
        if message.state != "failed":
            return
        shown.classes("failed").tooltip(words.failure(message.error))
        ui.label(words.failure(message.error)).classes("failed")
        if self._visit.member.may("desk.reply"):
            again = partial(self.resend, message.id)
            frame.button(self._visit, words("desk.resend"), "refresh", again).mark(f"resend-{message.seq}")

    async def resend(self, message_id: str) -> None:
        if self._chosen:
            await self._desk.resend(self._visit.member, self._chosen, message_id)
            self._say("desk.resent")
            await self._on_changed()

    def _scroll_down(self, *, always: bool) -> None:
        """A reader who has scrolled up to read is left there."""
        near = "true" if always else "box.scrollHeight - box.scrollTop - box.clientHeight < 260"
        ui.run_javascript(
            f"const box = document.querySelector('.talk-lines'); if (box && ({near})) "
            "setTimeout(() => box.scrollTo(0, box.scrollHeight), 60)"
        )

    def _say(self, key: str) -> None:
        ui.notify(self._words(key), type="positive", position="top")


def _said(message: Message) -> str:
    """The customer's words, written or spoken; nothing where what came with them speaks for itself."""
    if message.text:
        return f"🎤 {message.text}" if message.kind == "voice" else message.text
    spoken = any(one.kind == "voice" and one.reading for one in message.attachments)
    if spoken or not message.attachments:
        return attachments.icon_line(message) or message.kind
    return ""
