"""The channels page: every account with how it does on the left; on the right its address, its form, a test of it.

Called by `console.pages`. The form is made from the channel's declared settings; secrets are written, never shown.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from nicegui import ui

from channels.contract import MAIN, ChannelSpec
from foundation.clock import Clock
from foundation.live import Hub
from operations.channel_desk import AccountStatus, ChannelDesk, Field
from operations.console import channel_status, frame

POLL_SECONDS = 5.0

Place = tuple[str, str]
"""Channel and account; a new account has the name ""."""


class ChannelsPage:
    def __init__(self, visit: frame.Visit, desk: ChannelDesk, *, hub: Hub, clock: Clock) -> None:
        self._visit, self._words = visit, visit.words
        self._tenant = visit.member.tenant
        self._desk = desk
        self._hub = hub
        self._clock = clock
        self._chosen: Place | None = None
        self._rows: list[AccountStatus] = []
        self._fields: dict[str, ui.input] = {}
        self._status: frame.Keyed[channel_status.Shown] | None = None

    async def draw(self) -> None:
        frame.draw(self._visit, "channels")
        with ui.element("div").classes("grid-two"):
            with ui.element("div").classes("pane pane-left"):
                with ui.element("div").classes("row find no-wrap"):
                    kinds = {spec.name: self._title(spec.title) for spec in self._desk.kinds()}
                    self._kind = ui.select(kinds, label=self._words("channels.add"), with_input=True)
                    self._kind.props("outlined dense").classes("grow dark-input").mark("kind")
                    self._kind.on_value_change(frame.attempt(self._visit, self._start_new))
                self._head = ui.element("div")
                self._keyed = frame.Keyed[tuple[AccountStatus, bool]](ui.element("div"), self._draw_row)
                self._shut = ui.element("div")
            self._work = ui.element("div").classes("pane work")
        with self._work:
            frame.empty(self._words("channels.choose"), "hub")
        self._draw_shut()
        await self._refresh(set())
        frame.listen(self._visit, self._hub, [], self._look_again, poll_seconds=POLL_SECONDS)

    async def _look_again(self, changed: set[str]) -> None:
        await self._refresh(changed)
        await self._show_status()

    async def _refresh(self, _changed: set[str]) -> None:
        self._rows = await self._desk.overview(self._tenant)
        self._head.clear()
        with self._head:
            frame.section(self._words("nav.channels"), len(self._rows))
        self._keyed.show(
            [
                (f"{row.channel} {row.account}", (row, (row.channel, row.account) == self._chosen))
                for row in self._rows
            ]
        )

    def _draw_row(self, _key: str, shown: tuple[AccountStatus, bool]) -> None:
        row, is_chosen = shown
        choose = frame.attempt(self._visit, self._choose, (row.channel, row.account))
        item = ui.element("button").classes("item on" if is_chosen else "item").on("click", choose)
        with item.mark(f"account-{row.channel}-{row.account}"):
            with ui.element("div").classes("item-top"):
                ui.label(self._title(row.title)).classes("item-name")
                ui.label(channel_status.since(self._words, row.traffic.last_in, self._now())).classes("quiet")
            with ui.element("div").classes("row"):
                frame.badge(row.account if row.account != MAIN else self._words("channels.main"), "accent")
                channel_status.draw_badges(self._words, row, short=True)

    def _draw_shut(self) -> None:
        """Channels that nobody can open say why."""
        shut = [spec for spec in self._desk.kinds() if spec.closed]
        if not shut:
            return
        with self._shut:
            frame.section(self._words("channels.shut"))
            for spec in shut:
                reason = self._words.shut(spec.name, spec.closed)
                ui.label(self._words("desk.fact", name=self._title(spec.title), value=reason)).classes(
                    "quiet nothing"
                )

    # One account

    async def _choose(self, place: Place) -> None:
        self._chosen = place
        await self._refresh(set())
        row = next((row for row in self._rows if (row.channel, row.account) == place), None)
        if row is None:
            return
        fields = await self._desk.form(self._tenant, row.channel, row.account) if row.is_added else []
        self._show(row.channel, row, fields)
        await self._show_status()

    async def _start_new(self) -> None:
        kind = self._kind.value
        if not kind:
            return
        spec = next(spec for spec in self._desk.kinds() if spec.name == kind)
        self._kind.set_value(None)
        if spec.closed:
            ui.notify(
                self._words.shut(spec.name, spec.closed),
                type="warning",
                position="top",
                multi_line=True,
                timeout=8000,
            )
            return
        self._chosen = (spec.name, "")
        self._show(spec.name, None, await self._desk.form(self._tenant, spec.name))
        await self._refresh(set())

    async def _show_status(self) -> None:
        """Of the chosen account; what is being written in its form stays."""
        row = next((row for row in self._rows if (row.channel, row.account) == self._chosen), None)
        if row is None or self._status is None:
            return
        windows = await self._desk.open_windows(self._tenant, row.channel, row.account)
        self._status.show([("status", channel_status.Shown(row, windows, self._now()))])

    def _now(self) -> datetime:
        """In whole minutes: what is shown stays as it is until it would read differently."""
        return self._clock().replace(second=0, microsecond=0)

    def _show(self, channel: str, row: AccountStatus | None, fields: list[Field]) -> None:
        spec = next(spec for spec in self._desk.kinds() if spec.name == channel)
        self._work.clear()
        self._status = None
        with self._work:
            with ui.element("div").classes("row"):
                ui.label(self._title(spec.title)).classes("card-title")
                if row is not None:
                    frame.badge(
                        row.account if row.account != MAIN else self._words("channels.main"), "accent"
                    )
                    channel_status.draw_badges(self._words, row)
            if row is not None:
                self._draw_account(row)
            if row is not None and not row.is_added:
                ui.label(self._words("channels.by_environment", name=channel.upper())).classes("quiet")
                return
            self._draw_form(spec, row, fields)

    def _draw_account(self, row: AccountStatus) -> None:
        if row.problem:
            ui.label(row.problem).classes("card note")
        if row.is_demo:
            ui.label(self._words("channels.demo_help", name=row.channel)).classes("card note")
        with ui.element("div").classes("card page"):
            self._draw_address(row)
            with ui.element("div").classes("row gap"):
                if row.testable:
                    frame.button(
                        self._visit, self._words("channels.test"), "network_check", self._test, row
                    ).mark("test")
                if row.is_added:
                    frame.button(
                        self._visit, self._words("channels.remove"), "delete", self._remove, row
                    ).mark("remove")
        frame.section(self._words("channels.status"))
        words = self._words
        self._status = frame.Keyed[channel_status.Shown](
            ui.element("div"), lambda _key, shown: channel_status.draw(words, shown)
        )

    def _draw_address(self, row: AccountStatus) -> None:
        ui.label(self._words("channels.address")).classes("field-name")
        if not row.hook:
            ui.label(self._words("channels.no_address")).classes("quiet")
            return
        with ui.element("div").classes("row no-wrap"):
            ui.label(row.hook).classes("card-title").mark("hook")
            frame.icon("content_copy", self._words("channels.copy"), lambda: ui.clipboard.write(row.hook))
        if row.hook_is_secret:
            with ui.element("div").classes("row"):
                frame.badge(self._words("channels.address_secret"), "warn")
            ui.label(self._words("channels.address_secret_help")).classes("quiet")

    def _draw_form(self, spec: ChannelSpec, row: AccountStatus | None, fields: list[Field]) -> None:
        self._fields = {}
        with ui.element("div").classes("card page form"):
            if row is None:
                self._name = ui.input(self._words("channels.name"), value="")
                self._name.props("outlined dense").classes("w-full dark-input").mark("account")
                ui.label(self._words("channels.name_help")).classes("quiet")
            for field in fields:
                self._fields[field.name] = self._draw_field(field)
            account = row.account if row else ""
            frame.button(
                self._visit, self._words("channels.save"), "save", self._save, spec.name, account, soft=False
            ).mark("save")

    def _draw_field(self, field: Field) -> ui.input:
        drawn = ui.input(field.name, value=field.value, password=field.secret)
        drawn.props("outlined dense stack-label autocomplete=off").classes("w-full dark-input")
        if field.secret and field.is_set:
            drawn.props["placeholder"] = self._words("channels.secret_kept")
        elif field.default:
            drawn.props["placeholder"] = field.default
        if field.description:
            ui.label(field.description).classes("quiet")
        return drawn.mark(f"field-{field.name}")

    async def _save(self, channel: str, account: str) -> None:
        name = account or str(self._name.value or "").strip()
        values: dict[str, Any] = {
            name: value for name, field in self._fields.items() if (value := str(field.value or "").strip())
        }
        saved = await self._desk.save(self._visit.member, channel, name, values)
        ui.notify(self._words("channels.saved"), type="positive", position="top")
        await self._choose((saved.channel, saved.account))

    async def _test(self, row: AccountStatus) -> None:
        answer = await self._desk.test(self._tenant, row.channel, row.account)
        ui.notify(answer, type="positive", position="top", multi_line=True, timeout=8000)

    async def _remove(self, row: AccountStatus) -> None:
        await self._desk.remove(self._visit.member, row.channel, row.account)
        self._chosen = None
        self._work.clear()
        with self._work:
            frame.empty(self._words("channels.choose"), "hub")
        ui.notify(self._words("channels.removed"), type="positive", position="top")
        await self._refresh(set())

    def _title(self, title: Any) -> str:
        return str(title.get(self._words.language) or title.get("en") or "")
