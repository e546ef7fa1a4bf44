"""Webhooks over HTTP, for scripts, for `huiliu webhooks` and for whoever automates set-up. The secret is told once, when made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.routing import BaseRoute

from foundation import errors
from foundation.messages import Frozen
from foundation.outward import catalogue
from operations.staff import Member
from operations.webhooks.desk import PERMISSION, Status, WebhookDesk, Wish
from operations.webhooks.records import Delivery, Webhook
from service.operator import Doorman
from service.routes.forms import read_form

PAGE = 50


class WebhookForm(Frozen):
    url: str
    types: list[str] = Field(default_factory=list)
    description: str = ""
    with_text: bool = False
    active: bool = True

    @property
    def wish(self) -> Wish:
        return Wish(
            self.url.strip(), tuple(self.types), self.description.strip(), self.with_text, self.active
        )


class ReplayForm(Frozen):
    since: datetime


class WebhookRoutes:
    def __init__(self, desk: WebhookDesk, doorman: Doorman) -> None:
        self._desk = desk
        self._doorman = doorman

    def routes(self) -> list[BaseRoute]:
        one = "/v1/webhooks/{webhook}"
        return [
            self._doorman.route("GET", "/v1/webhooks", self._list, PERMISSION),
            self._doorman.route("POST", "/v1/webhooks", self._add, PERMISSION),
            self._doorman.route("PUT", one, self._change, PERMISSION),
            self._doorman.route("DELETE", one, self._remove, PERMISSION),
            self._doorman.route("POST", f"{one}/secret", self._renew_secret, PERMISSION),
            self._doorman.route("POST", f"{one}/test", self._test, PERMISSION),
            self._doorman.route("POST", f"{one}/replay", self._replay, PERMISSION),
            self._doorman.route("GET", f"{one}/deliveries", self._deliveries, PERMISSION),
            self._doorman.route(
                "POST", f"{one}/deliveries/{{delivery:int}}/replay", self._replay_one, PERMISSION
            ),
        ]

    async def _list(self, _request: Request, member: Member) -> Any:
        events = [
            {"type": kind.name, "version": kind.version, "zh": kind.zh, "en": kind.en, "fields": dict(kind.fields)}
            for kind in catalogue.kinds().values()
        ]  # fmt: skip
        found = await self._desk.overview(member.tenant)
        return {"webhooks": [_counted(one) for one in found], "events": events}

    async def _add(self, request: Request, member: Member) -> Any:
        form = await read_form(request, WebhookForm)
        made, secret = await self._desk.add(member, form.wish)
        return {**_shown(made), "secret": secret}

    async def _change(self, request: Request, member: Member) -> Any:
        form = await read_form(request, WebhookForm)
        return _shown(await self._desk.change(member, _webhook(request), form.wish))

    async def _remove(self, request: Request, member: Member) -> Any:
        await self._desk.remove(member, _webhook(request))
        return {"removed": True}

    async def _renew_secret(self, request: Request, member: Member) -> Any:
        return {"secret": await self._desk.renew_secret(member, _webhook(request))}

    async def _test(self, request: Request, member: Member) -> Any:
        attempt = await self._desk.test(member, _webhook(request))
        return {
            "delivered": attempt.fine, "status": attempt.status, "error": attempt.error,
            "milliseconds": attempt.milliseconds,
        }  # fmt: skip

    async def _replay(self, request: Request, member: Member) -> Any:
        since = (await read_form(request, ReplayForm)).since
        aware = since if since.tzinfo else since.replace(tzinfo=UTC)
        return {"events": await self._desk.replay(member, _webhook(request), aware)}

    async def _replay_one(self, request: Request, member: Member) -> Any:
        await self._desk.replay_one(member, _webhook(request), int(request.path_params["delivery"]))
        return {"queued": True}

    async def _deliveries(self, request: Request, member: Member) -> Any:
        before = request.query_params.get("before", "")
        if before and not (before.isascii() and before.isdigit() and len(before) < 19):
            raise errors.InvalidInput("before is the id of a delivery.", code="bad_cursor")
        found = await self._desk.deliveries(
            member.tenant, _webhook(request), before=int(before) if before else None, limit=PAGE
        )
        return {"deliveries": [_logged(one) for one in found]}


def _webhook(request: Request) -> str:
    return str(request.path_params["webhook"])


def _shown(webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.id, "url": webhook.url, "types": list(webhook.types), "with_text": webhook.with_text,
        "description": webhook.description, "state": webhook.state, "failures": webhook.failures,
        "failing_since": webhook.failing_since and webhook.failing_since.isoformat(),
        "created_at": webhook.created_at.isoformat(),
    }  # fmt: skip


def _counted(one: Status) -> dict[str, Any]:
    counts = {"waiting": one.waiting, "delivered": one.delivered, "failed": one.failed}
    return {**_shown(one.webhook), **counts}


def _logged(one: Delivery) -> dict[str, Any]:
    return {
        "id": one.id, "event_id": one.event_id, "type": one.type, "state": one.state, "attempts": one.attempts,
        "status": one.status, "error": one.error, "milliseconds": one.milliseconds, "at": one.at.isoformat(),
        "next_at": one.next_at.isoformat() if one.state == "waiting" else None,
    }  # fmt: skip
