"""The prompts page: replies, agent prompts and snippets on the left; purpose, variables, editor, preview, versions right.

Called by `console.pages`. A text is checked while it is written; a broken one may be kept as a draft and cannot be
published. A text that was not saved stays in the page while its author looks at another one.
"""

from __future__ import annotations

from typing import Literal

from nicegui import ui

from foundation import errors
from foundation.clock import Clock
from foundation.storage.database import Database
from operations import audit
from operations.console import frame
from operations.console.content import difference
from prompts.library import Library, Preview, Version
from prompts.source import LANGUAGES, Broken, Fault, Source

CHECK_EVERY = 0.5
_GROUPS = ("replies", "agent", "snippets")
_TABS = (("write", "edit_note"), ("preview", "visibility"), ("versions", "history"))

_SECTIONS = frozenset(f"## {language}" for language in LANGUAGES)

Shown = tuple[Source, bool, bool, bool]
"""A text, whether it is chosen, was written on and not saved, has a draft."""


class PromptsPage:
    def __init__(self, visit: frame.Visit, *, library: Library, database: Database, clock: Clock) -> None:
        self._visit, self._words = visit, visit.words
        self._library = library
        self._database = database
        self._clock = clock
        self._sources: dict[str, Source] = {}
        self._drafts: dict[str, Version] = {}
        self._chosen: str | None = None
        self._seen_draft: Version | None = None
        self._stored = ""
        self._checked: str | None = None
        self._unsaved: dict[str, tuple[str, Version | None]] = {}
        self._is_guarded = False

    async def draw(self) -> None:
        frame.draw(self._visit, "prompts")
        with ui.element("div").classes("grid-two"):
            with ui.element("div").classes("pane pane-left"):
                self._find = (
                    ui.input(placeholder=self._words("prompts.search"), on_change=self._draw_list)
                    .props("outlined dense clearable debounce=250")
                    .classes("find dark-input")
                    .mark("search")
                )
                self._groups = {group: self._draw_group() for group in _GROUPS}
                self._nothing = ui.label(self._words("prompts.not_found")).classes("quiet nothing")
            self._work = ui.element("div").classes("pane work")
        with self._work:
            frame.empty(self._words("prompts.choose"), "edit_note")
        await self._read()
        ui.timer(CHECK_EVERY, self._check)

    async def _read(self) -> None:
        tenant = self._visit.member.tenant
        self._sources = {source.id: source for source in await self._library.prompts(tenant)}
        self._drafts = {draft.prompt_id: draft for draft in await self._library.drafts(tenant)}
        self._draw_list()

    def _draw_group(self) -> tuple[ui.element, frame.Keyed[Shown]]:
        return ui.element("div"), frame.Keyed[Shown](ui.element("div"), self._draw_row)

    def _draw_list(self) -> None:
        wanted = str(self._find.value or "").casefold().split()
        found = [source for source in self._sources.values() if _matches(source, wanted)]
        for group, (head, keyed) in self._groups.items():
            members = [source for source in found if source.id.startswith(f"{group}/")]
            head.clear()
            if members:
                with head:
                    frame.section(self._words(f"prompts.{group}"), len(members))
            keyed.show(
                [
                    (one.id, (one, one.id == self._chosen, one.id in self._unsaved, one.id in self._drafts))
                    for one in members
                ]
            )
        self._nothing.set_visibility(not found)

    def _draw_row(self, _key: str, shown: Shown) -> None:
        source, is_chosen, _, _ = shown
        item = ui.element("button").classes("item on" if is_chosen else "item")
        item.on("click", frame.attempt(self._visit, self._choose, source.id))
        with item.mark(f"prompt-{source.id.replace('/', '-')}"):
            with ui.element("div").classes("item-top"):
                ui.label(source.id.split("/", 1)[1]).classes("item-name")
                with ui.element("div").classes("row no-wrap"):
                    self._draw_badges(source)
            ui.label(source.purpose_in(self._words.language)).classes("item-line")

    def _draw_badges(self, source: Source) -> None:
        if source.id in self._unsaved:
            frame.badge(self._words("knowledge.unsaved"), "bad")
        if source.id in self._drafts:
            frame.badge(self._words("version.draft"), "warn")
        frame.badge(f"v{source.version}")

    async def _choose(self, prompt_id: str) -> None:
        self._keep()
        self._chosen = prompt_id
        await self._read()
        draft = self._drafts.get(prompt_id)
        self._stored = draft.body if draft else self._sources[prompt_id].text
        body, self._seen_draft = self._unsaved.get(prompt_id, (self._stored, draft))
        self._show(self._sources[prompt_id], body, draft)

    def _keep(self) -> None:
        """Remembers what was written and not saved, and which draft it started from."""
        if self._chosen is None:
            return
        if self._written() == self._stored:
            self._unsaved.pop(self._chosen, None)
        else:
            self._unsaved[self._chosen] = (self._written(), self._seen_draft)

    def _show(self, source: Source, body: str, draft: Version | None) -> None:
        self._checked = None
        self._work.clear()
        with self._work:
            self._head = ui.element("div").classes("row")
            ui.label(source.purpose_in(self._words.language)).classes("quiet")
            with ui.element("div").classes("row work-bar"):
                with ui.tabs(on_change=self._turn).props("dense no-caps inline-label") as self._tabs:
                    for name, symbol in _TABS:
                        mark = name if name == "preview" else f"tab-{name}"
                        ui.tab(name, self._words(f"prompts.tab_{name}"), symbol).mark(mark)
                ui.space()
                self._draw_actions()
            with ui.element("div").classes("sheet") as write:
                self._draw_editor(source, body, draft)
            with ui.element("div").classes("sheet") as preview:
                self._preview_place = ui.element("div").classes("w-full")
            with ui.element("div").classes("sheet") as past:
                self._past = ui.element("div").classes("w-full")
            for sheet, (name, _) in zip((write, preview, past), _TABS, strict=True):
                sheet.bind_visibility_from(self._tabs, "value", value=name)
            self._tabs.set_value("write")
        self._draw_head()

    def _draw_head(self) -> None:
        if self._chosen is None:
            return
        source = self._sources[self._chosen]
        self._discard.set_visibility(self._chosen in self._drafts and self._visit.member.may("prompts.edit"))
        self._head.clear()
        with self._head:
            ui.label(source.id).classes("work-title")
            self._draw_badges(source)

    def _draw_actions(self) -> None:
        member = self._visit.member
        for name, symbol, action, is_allowed in (
            ("discard", "delete_outline", self._discard_draft, member.may("prompts.edit")),
            ("save", "save", self._save, member.may("prompts.edit")),
            ("publish", "publish", self._publish, member.may("prompts.publish")),
        ):
            button = frame.button(
                self._visit, self._words(f"prompts.{name}"), symbol, action, soft=name != "publish"
            )
            button.mark("save-draft" if name == "save" else name).set_visibility(is_allowed)
            if name == "discard":
                self._discard = button

    def _draw_editor(self, source: Source, body: str, draft: Version | None) -> None:
        if source.inputs:
            with ui.element("div").classes("row inputs"):
                ui.label(self._words("prompts.inputs")).classes("field-name")
                for name, meaning in source.inputs.items():
                    with ui.element("div").classes("input-chip"):
                        ui.label(f"{{{{ {name} }}}}").classes("kbd")
                        ui.label(meaning).classes("quiet")
        self._body = ui.codemirror(body, language="Jinja2", line_wrapping=True)
        self._body.classes("editor tall").mark("body")
        self._faults = ui.element("div").classes("w-full")
        self._note = ui.input(self._words("prompts.note"), value=draft.note if draft else "")
        self._note.props("outlined dense").classes("w-full dark-input").mark("note")

    def _written(self) -> str:
        return str(self._body.value or "")

    async def _check(self) -> None:
        """Twice a second, when the text has changed: what would keep it from being published."""
        if self._chosen is None or self._written() == self._checked:
            return
        chosen, self._checked = self._chosen, self._written()
        self._touched()
        faults = await self._library.faults(self._visit.member.tenant, chosen, self._checked)
        if chosen == self._chosen:
            self._draw_faults(faults)

    def _touched(self) -> None:
        """Tells the browser when there is something to lose, and when there no longer is."""
        is_unsaved = self._written() != self._stored or any(one != self._chosen for one in self._unsaved)
        if is_unsaved != self._is_guarded:
            self._is_guarded = is_unsaved
            frame.warn_before_leaving(is_unsaved)

    def _draw_faults(self, faults: list[Fault]) -> None:
        lines = self._written().split("\n")
        marked = {at: "section-line" for at, line in enumerate(lines, 1) if line.strip() in _SECTIONS}
        marked |= {fault.line: "fault-line" for fault in faults if 0 < fault.line <= len(lines)}
        self._body.decorations = [
            {"kind": "line", "line": line, "class": name} for line, name in marked.items()
        ]
        self._faults.clear()
        with self._faults, ui.element("div").classes("card faults").mark("faults"):
            if not faults:
                with ui.element("div").classes("row good"):
                    ui.icon("check_circle")
                    ui.label(self._words("prompts.ok"))
            for fault in faults:
                with ui.element("div").classes("row bad"):
                    ui.icon("error_outline")
                    ui.label(self._sentence(fault))

    def _sentence(self, fault: Fault) -> str:
        if not fault.line:
            return fault.message
        return self._words("prompts.line", line=fault.line, message=fault.message)

    async def _turn(self) -> None:
        if self._tabs.value == "preview":
            await self._draw_preview()
        elif self._tabs.value == "versions":
            await frame.attempt(self._visit, self._draw_versions)()

    async def _draw_preview(self) -> None:
        assert self._chosen is not None
        shown: list[Preview] = []
        reason = ""
        try:
            shown = await self._library.preview(self._visit.member.tenant, self._chosen, self._written())
        except Broken as error:
            reason = "; ".join(map(self._sentence, error.faults))
        except errors.InvalidInput as error:
            reason = error.public_text
        self._preview_place.clear()
        with self._preview_place:
            if reason:
                ui.label(reason).classes("card quiet")
            for number in sorted({one.example for one in shown}):
                frame.section(self._words("prompts.example", n=number))
                with ui.element("div").classes("compare"):
                    for one in (one for one in shown if one.example == number):
                        with ui.element("div").classes("card answer"):
                            frame.badge(self._words(f"language.{one.language}"), "accent")
                            ui.label(one.text).classes("said")

    # What the buttons do

    async def _save(self) -> None:
        if self._chosen is not None:
            await self._save_draft(self._chosen)
            self._say("prompts.saved")

    async def _save_draft(self, prompt_id: str) -> Version:
        """Raises `Conflict` once when the prompt's one draft is not the one that was opened; then it may be replaced."""
        member = self._visit.member
        member.require("prompts.edit")
        drafts = {draft.prompt_id: draft for draft in await self._library.drafts(member.tenant)}
        current = drafts.get(prompt_id)
        if current is not None and current != self._seen_draft:
            self._seen_draft = current
            raise errors.Conflict(
                self._words("prompts.conflict", author=current.author), code="draft_changed"
            )
        draft = await self._library.save_draft(
            member.tenant,
            prompt_id,
            self._written(),
            author=member.name,
            note=str(self._note.value or "").strip(),
        )
        await self._record("prompts.saved", prompt_id, draft.version)
        self._seen_draft, self._stored = draft, self._written()
        self._unsaved.pop(prompt_id, None)
        self._touched()
        await self._changed()
        return draft

    async def _publish(self) -> None:
        if self._chosen is None:
            return
        prompt_id, member = self._chosen, self._visit.member
        member.require("prompts.publish")
        draft = self._seen_draft
        if draft is None or self._written() != self._stored:
            if draft is None and self._written() == self._sources[prompt_id].text:
                self._say("prompts.nothing_new", kind="warning")
                return
            draft = await self._save_draft(prompt_id)
        try:
            await self._library.publish(member.tenant, prompt_id, draft.version, author=member.name)
        except Broken as error:
            self._draw_faults(error.faults)
            raise errors.InvalidInput(
                self._words("prompts.refused", reason="; ".join(map(self._sentence, error.faults))),
                code=error.code,
            ) from error
        await self._record("prompts.published", prompt_id, draft.version)
        self._seen_draft = None
        self._note.set_value("")
        self._say("prompts.published")
        await self._changed()

    async def _discard_draft(self) -> None:
        if self._chosen is None:
            return
        member, prompt_id = self._visit.member, self._chosen
        member.require("prompts.edit")
        await self._library.discard_draft(member.tenant, prompt_id)
        await self._record("prompts.discarded", prompt_id, 0)
        await self._reopen(prompt_id)
        self._say("prompts.discarded")

    async def _draw_versions(self) -> None:
        assert self._chosen is not None
        tenant, prompt_id = self._visit.member.tenant, self._chosen
        found = await self._library.versions(tenant, prompt_id)
        live = next((one.version for one in found if one.state in ("live", "file")), 0)

        async def compare(version: int) -> list[str]:
            return await self._library.diff(tenant, prompt_id, live, version)

        may = self._visit.member.may("prompts.publish")
        past = [
            difference.Past(
                one.version,
                "live" if one.version == live else one.state,
                one.author,
                one.note,
                one.published_at or one.written_at,
            )
            for one in found
        ]
        self._past.clear()
        with self._past:
            difference.draw_history(
                self._visit, difference.History(past, compare, self._roll_back if may else None)
            )

    async def _roll_back(self, to: int) -> None:
        if self._chosen is None:
            return
        member, prompt_id = self._visit.member, self._chosen
        member.require("prompts.publish")
        if self._written() != self._stored:
            await self._save_draft(prompt_id)
        live = await self._library.rollback(member.tenant, prompt_id, to, author=member.name)
        await self._record("prompts.rolled_back", prompt_id, live.version)
        await self._reopen(prompt_id)
        self._say("knowledge.rolled_back")

    async def _reopen(self, prompt_id: str) -> None:
        self._chosen = None
        self._unsaved.pop(prompt_id, None)
        await self._choose(prompt_id)

    async def _changed(self) -> None:
        await self._read()
        self._draw_head()
        if self._tabs.value == "versions":
            await self._draw_versions()

    async def _record(self, action: str, prompt_id: str, version: int) -> None:
        member, now = self._visit.member, self._clock()
        await self._database.write(
            lambda connection: audit.write(
                connection, member.tenant, actor=member.id, action=action, subject=prompt_id, now=now,
                detail={"version": version},
            )
        )  # fmt: skip

    def _say(self, key: str, *, kind: Literal["positive", "warning"] = "positive") -> None:
        with self._work:
            ui.notify(self._words(key), type=kind, position="top")


def _matches(source: Source, wanted: list[str]) -> bool:
    text = f"{source.id} {source.purpose} {source.purpose_zh} {source.text}".casefold()
    return all(word in text for word in wanted)
