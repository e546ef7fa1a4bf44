"""The webhooks page: receivers and how they do on the left; on the right state, form, sending again, and the log of one of them.

Called by `console.pages`. A secret is shown once, when it is made, and nowhere else. Each failure stands as a word beside its
colour, and says what is done about it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from nicegui import ui

from foundation.clock import Clock
from foundation.live import Hub
from foundation.outward import catalogue
from operations.console import channel_status, frame
from operations.webhooks import records
from operations.webhooks.desk import Status, WebhookDesk, Wish
from operations.webhooks.records import Delivery, Webhook

POLL_SECONDS = 3.0
LOG_LENGTH = 50
SPANS = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "all": timedelta(days=14),
}
TONES = {"on": "good", "off": "", "gone": "bad", "failing": "bad"}
DELIVERY_TONES = {"delivered": "good", "waiting": "warn", "failed": "bad"}


@dataclass(frozen=True, slots=True)
class _Line:
    delivery: Delivery
    now: datetime


class WebhooksPage:
    def __init__(self, visit: frame.Visit, desk: WebhookDesk, *, hub: Hub, clock: Clock) -> None:
        self._visit, self._words = visit, visit.words
        self._tenant = visit.member.tenant
        self._desk = desk
        self._hub = hub
        self._clock = clock
        self._chosen = ""
        self._rows: list[Status] = []
        self._secret = ""
        self._state: frame.Keyed[Status] | None = None
        self._log: frame.Keyed[_Line] | None = None
        self._no_log: ui.label | None = None

    async def draw(self) -> None:
        frame.draw(self._visit, "webhooks")
        with ui.element("div").classes("grid-two"):
            with ui.element("div").classes("pane pane-left"):
                frame.button(
                    self._visit, self._words("webhooks.add"), "add", self._start_new, soft=False
                ).mark("add")
                self._head = ui.element("div")
                self._keyed = frame.Keyed[tuple[Status, bool]](ui.element("div"), self._draw_row)
                self._none = ui.label(self._words("webhooks.none")).classes("quiet nothing")
            self._work = ui.element("div").classes("pane work")
        with self._work:
            frame.empty(self._words("webhooks.choose"), "webhook")
        await self._refresh(set())
        frame.listen(self._visit, self._hub, [], self._refresh, poll_seconds=POLL_SECONDS)

    async def _refresh(self, _changed: set[str]) -> None:
        self._rows = await self._desk.overview(self._tenant)
        self._head.clear()
        with self._head:
            frame.section(self._words("nav.webhooks"), len(self._rows))
        self._none.set_visibility(not self._rows)
        self._keyed.show([(one.webhook.id, (one, one.webhook.id == self._chosen)) for one in self._rows])
        await self._show_how_it_does()

    def _draw_row(self, _key: str, shown: tuple[Status, bool]) -> None:
        row, is_chosen = shown
        choose = frame.attempt(self._visit, self._choose, row.webhook.id)
        item = ui.element("button").classes("item on" if is_chosen else "item").on("click", choose)
        with item.mark(f"webhook-{row.webhook.id}"):
            ui.label(row.webhook.description or _host(row.webhook.url)).classes("item-name")
            ui.label(_host(row.webhook.url)).classes("item-line")
            with ui.element("div").classes("row"):
                self._draw_badges(row)

    def _draw_badges(self, row: Status) -> None:
        webhook = row.webhook
        frame.badge(self._words.named("webhook_state", webhook.state), TONES[webhook.state])
        if webhook.state == "on" and webhook.failing_since is not None:
            frame.badge(self._words("webhooks.trouble"), "warn")
        if row.waiting:
            frame.badge(self._words("webhooks.waiting", n=row.waiting))

    # One webhook

    async def _start_new(self) -> None:
        self._chosen, self._secret = "", ""
        self._state = self._log = None
        self._work.clear()
        with self._work:
            ui.label(self._words("webhooks.new")).classes("card-title")
            ui.label(self._words("webhooks.new_help")).classes("quiet")
            self._draw_form(None)
        await self._refresh(set())

    async def _choose(self, webhook_id: str, secret: str = "") -> None:
        self._chosen, self._secret = webhook_id, secret
        self._state = self._log = None
        await self._refresh(set())
        row = next((one for one in self._rows if one.webhook.id == webhook_id), None)
        self._work.clear()
        if row is None:
            with self._work:
                frame.empty(self._words("webhooks.choose"), "webhook")
            return
        with self._work:
            self._draw_one(row.webhook)
        await self._show_how_it_does()

    def _draw_one(self, webhook: Webhook) -> None:
        ui.label(webhook.description or _host(webhook.url)).classes("card-title")
        if self._secret:
            self._draw_secret()
        self._state = frame.Keyed[Status](ui.element("div"), self._draw_state)
        with ui.element("div").classes("row"):
            for name, symbol, action in (
                ("test", "network_check", self._test), ("secret", "key", self._renew_secret),
                ("remove", "delete", self._ask_before_removing),
            ):  # fmt: skip
                frame.button(self._visit, self._words(f"webhooks.{name}"), symbol, action, webhook.id).mark(
                    name
                )
        self._draw_replay(webhook.id)
        frame.section(self._words("webhooks.settings"))
        self._draw_form(webhook)
        frame.section(self._words("webhooks.log"))
        ui.label(self._words("webhooks.log_help")).classes("quiet")
        self._no_log = ui.label(self._words("webhooks.no_log")).classes("quiet nothing")
        self._log = frame.Keyed[_Line](ui.element("div").mark("log"), self._draw_line)

    def _draw_secret(self) -> None:
        secret = self._secret
        with ui.element("div").classes("card note").mark("secret-once"):
            ui.label(self._words("webhooks.secret_once")).classes("field-name")
            with ui.element("div").classes("row no-wrap"):
                ui.label(secret).classes("card-title").mark("secret-value")
                frame.icon("content_copy", self._words("channels.copy"), lambda: ui.clipboard.write(secret))

    def _draw_state(self, _key: str, row: Status) -> None:
        webhook, words = row.webhook, self._words
        with ui.element("div").classes("card page"):
            with ui.element("div").classes("row"):
                self._draw_badges(row)
                ui.label(words("webhooks.counts", delivered=row.delivered, failed=row.failed)).classes(
                    "quiet"
                )
            if webhook.state != "on":
                ui.label(words(f"webhook_state_help.{webhook.state}")).classes("quiet")
            elif webhook.failing_since is not None:
                since = channel_status.since(words, webhook.failing_since, self._clock())
                ui.label(words("webhooks.trouble_help", since=since, n=webhook.failures)).classes("quiet")
            is_on = webhook.state == "on"
            text, symbol = ("webhooks.off", "pause") if is_on else ("webhooks.on", "play_arrow")
            frame.button(
                self._visit, words(text), symbol, self._switch, webhook.id, not is_on, soft=is_on
            ).classes("gap").mark("switch")

    def _draw_replay(self, webhook_id: str) -> None:
        with ui.element("div").classes("row"):
            spans = {name: self._words(f"webhook_span.{name}") for name in SPANS}
            self._span = ui.select(spans, value="day", label=self._words("webhooks.replay_since"))
            self._span.props("outlined dense").classes("dark-input").style("min-width: 210px").mark("span")
            frame.button(
                self._visit, self._words("webhooks.replay"), "replay", self._replay, webhook_id
            ).mark("replay")
        ui.label(self._words("webhooks.replay_help")).classes("quiet")

    def _draw_form(self, webhook: Webhook | None) -> None:
        words = self._words
        with ui.element("div").classes("card page form"):
            self._url = self._input("url", webhook.url if webhook else "")
            ui.label(words("webhooks.url_help")).classes("quiet")
            self._description = self._input("description", webhook.description if webhook else "")
            kinds = {
                kind.name: f"{kind.zh if words.language == 'zh' else kind.en} · {kind.name}"
                for kind in catalogue.kinds().values()
            }
            self._types = ui.select(
                kinds,
                multiple=True,
                value=list(webhook.types) if webhook else [],
                label=words("webhooks.types"),
            )
            self._types.props("outlined dense use-chips").classes("w-full dark-input").mark("types")
            ui.label(words("webhooks.types_help")).classes("quiet")
            self._text = ui.checkbox(words("webhooks.with_text"), value=bool(webhook and webhook.with_text))
            if not self._desk.may_text(self._tenant):
                self._text.disable()
                ui.label(words("webhooks.no_text")).classes("quiet")
            frame.button(self._visit, words("webhooks.save"), "save", self._save, webhook, soft=False).mark(
                "save"
            )

    def _input(self, name: str, value: str) -> ui.input:
        drawn = ui.input(self._words(f"webhooks.{name}"), value=value)
        drawn.props("outlined dense stack-label autocomplete=off").classes("w-full dark-input")
        return drawn.mark(name)

    async def _show_how_it_does(self) -> None:
        row = next((one for one in self._rows if one.webhook.id == self._chosen), None)
        if row is None or self._state is None or self._log is None or self._no_log is None:
            return
        self._state.show([("state", row)])
        found = await self._desk.deliveries(self._tenant, row.webhook.id, limit=LOG_LENGTH)
        now = self._clock().replace(second=0, microsecond=0)
        self._no_log.set_visibility(not found)
        self._log.show([(str(one.id), _Line(one, now)) for one in found])

    def _draw_line(self, _key: str, line: _Line) -> None:
        one, words = line.delivery, self._words
        kind = catalogue.kinds().get(one.type)
        name = words("webhooks.test") if one.type == records.TEST else one.type
        if kind is not None:
            name = kind.zh if words.language == "zh" else kind.en
        with ui.element("div").classes("card").mark(f"delivery-{one.state}"):
            with ui.element("div").classes("row no-wrap").style("justify-content: space-between"):
                with ui.element("div").classes("row"):
                    frame.badge(words.named("webhook_delivery", one.state), DELIVERY_TONES[one.state])
                    ui.label(name).classes("card-title")
                if one.position is not None:
                    frame.icon(
                        "replay", words("webhooks.replay_one"),
                        frame.attempt(self._visit, self._replay_one, one.id),
                    ).mark(f"again-{one.id}")  # fmt: skip
            ui.label(self._told(line)).classes("quiet")

    def _told(self, line: _Line) -> str:
        one, words = line.delivery, self._words
        parts = [f"{one.at:%Y-%m-%d %H:%M:%S} UTC", one.event_id]
        if one.attempts:
            answer = str(one.status) if one.status is not None else words.named("webhook_answer", one.error)
            parts.append(
                words("webhooks.answered", answer=answer, n=one.attempts, milliseconds=one.milliseconds)
            )
        if one.state == "waiting" and one.attempts and one.next_at > line.now:
            parts.append(words("webhooks.next", at=f"{one.next_at:%H:%M:%S} UTC"))
        return " · ".join(parts)

    # What is done

    async def _save(self, webhook: Webhook | None) -> None:
        member = self._visit.member
        url, description = (str(field.value or "").strip() for field in (self._url, self._description))
        active = webhook is None or webhook.state == "on"
        wish = Wish(url, tuple(self._types.value or ()), description, bool(self._text.value), active)
        if webhook is None:
            made, secret = await self._desk.add(member, wish)
            await self._choose(made.id, secret)
        else:
            await self._desk.change(member, webhook.id, wish)
            await self._choose(webhook.id)
        self._say("webhooks.saved")

    async def _test(self, webhook_id: str) -> None:
        attempt = await self._desk.test(self._visit.member, webhook_id)
        answer = str(attempt.status or self._words.named("webhook_answer", attempt.error))
        kind = "positive" if attempt.fine else "negative"
        ui.notify(self._words("webhooks.tested", answer=answer), type=kind, position="top")  # type: ignore[arg-type]
        await self._refresh(set())

    async def _switch(self, webhook_id: str, active: bool) -> None:
        await self._desk.switch(self._visit.member, webhook_id, active=active)
        await self._choose(webhook_id)

    async def _renew_secret(self, webhook_id: str) -> None:
        secret = await self._desk.renew_secret(self._visit.member, webhook_id)
        await self._choose(webhook_id, secret)

    async def _replay(self, webhook_id: str) -> None:
        since = self._clock() - SPANS[str(self._span.value)]
        count = await self._desk.replay(self._visit.member, webhook_id, since)
        ui.notify(self._words("webhooks.replayed", n=count), type="positive", position="top")
        await self._refresh(set())

    async def _replay_one(self, delivery_id: int) -> None:
        await self._desk.replay_one(self._visit.member, self._chosen, delivery_id)
        self._say("webhooks.replayed_one")
        await self._refresh(set())

    async def _ask_before_removing(self, webhook_id: str) -> None:
        with ui.dialog() as dialog, ui.card().classes("h-dialog"):
            ui.label(self._words("webhooks.remove_ask")).classes("card-title")
            ui.label(self._words("webhooks.remove_help")).classes("quiet")
            frame.button(
                self._visit,
                self._words("webhooks.remove"),
                "delete",
                self._remove,
                webhook_id,
                dialog,
                soft=False,
            ).mark("remove-really")
        dialog.open()

    async def _remove(self, webhook_id: str, dialog: ui.dialog) -> None:
        dialog.close()
        await self._desk.remove(self._visit.member, webhook_id)
        await self._choose("")

    def _say(self, key: str) -> None:
        ui.notify(self._words(key), type="positive", position="top")


def _host(url: str) -> str:
    """Without the path, which may hold a secret and is of no use in a list."""
    return url.partition("://")[2].partition("/")[0]
