"""Accounts of channels over HTTP, for the console's scripts, for `huiliu channels` and for whoever automates set-up."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.routing import BaseRoute

from foundation.messages import Frozen
from operations.channel_desk import AccountStatus, ChannelDesk
from operations.staff import Member, Permission
from service.operator import Doorman
from service.routes.forms import read_form

PERMISSION: Permission = "channels.manage"


class AccountForm(Frozen):
    settings: dict[str, Any] = Field(default_factory=dict)
    active: bool = True


class ChannelRoutes:
    def __init__(self, desk: ChannelDesk, doorman: Doorman) -> None:
        self._desk = desk
        self._doorman = doorman

    def routes(self) -> list[BaseRoute]:
        account = "/v1/channels/{channel}/accounts/{account}"
        return [
            self._doorman.route("GET", "/v1/channels", self._list, PERMISSION),
            self._doorman.route("GET", "/v1/channels/{channel}/form", self._form, PERMISSION),
            self._doorman.route("PUT", account, self._save, PERMISSION),
            self._doorman.route("DELETE", account, self._remove, PERMISSION),
            self._doorman.route("POST", f"{account}/test", self._test, PERMISSION),
        ]

    async def _list(self, _request: Request, member: Member) -> Any:
        kinds = [
            {"name": spec.name, "title": dict(spec.title), "closed": spec.closed}
            for spec in self._desk.kinds()
        ]
        return {"accounts": [_shown(one) for one in await self._desk.overview(member.tenant)], "kinds": kinds}

    async def _form(self, request: Request, member: Member) -> Any:
        account = request.query_params.get("account", "")
        found = await self._desk.form(member.tenant, request.path_params["channel"], account)
        return [dataclasses.asdict(field) for field in found]

    async def _save(self, request: Request, member: Member) -> Any:
        form = await read_form(request, AccountForm)
        saved = await self._desk.save(member, *_place(request), form.settings, active=form.active)
        return _shown(saved)

    async def _remove(self, request: Request, member: Member) -> Any:
        await self._desk.remove(member, *_place(request))
        return {"removed": True}

    async def _test(self, request: Request, member: Member) -> Any:
        return {"answer": await self._desk.test(member.tenant, *_place(request))}


def _place(request: Request) -> tuple[str, str]:
    return request.path_params["channel"], request.path_params["account"]


def _shown(status: AccountStatus) -> dict[str, Any]:
    """Traffic stands beside the rest: `last_in`, `last_out`, `sent`, `failed`, `dead`."""
    found = _plain(dataclasses.asdict(status))
    return {**found, **found.pop("traffic"), "error_rate": round(status.error_rate, 4)}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
