"""Customers in bulk over HTTP, for the console's buttons, for `huiliu customers import` and for scripts.

A file is sent as it is: `curl --data-binary @customers.csv '…/v1/customer-imports?name=customers.csv'`. Nothing is taken in
before `start`, which wants an Idempotency-Key, so that a start that is sent twice is one start.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

from pydantic import Field, StringConstraints
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute

from channels.media import kinds
from customers.importing import columns
from foundation import errors
from foundation.clock import to_milliseconds
from foundation.messages import Frozen
from operations.customer_data import tables
from operations.customer_data.desk import PERMISSION, ImportDesk, Whole
from operations.customer_data.records import Import, Progress
from operations.staff import Member
from service.operator import Doorman
from service.routes.forms import read_form

PATH = "/v1/customer-imports"


class Columns(Frozen):
    """One target for each column, in their order; "" leaves one out."""

    targets: tuple[Annotated[str, StringConstraints(max_length=60)], ...] = Field(max_length=100)


class CustomerDataRoutes:
    def __init__(self, imports: ImportDesk, doorman: Doorman) -> None:
        self._imports = imports
        self._doorman = doorman

    def routes(self) -> list[BaseRoute]:
        one = f"{PATH}/{{id}}"
        return [
            self._doorman.route("GET", PATH, self._list, PERMISSION),
            self._doorman.route("POST", PATH, self._bring, PERMISSION),
            self._doorman.route("GET", one, self._show, PERMISSION),
            self._doorman.route("DELETE", one, self._discard, PERMISSION),
            self._doorman.route("PUT", f"{one}/mapping", self._remap, PERMISSION),
            self._doorman.route("POST", f"{one}/start", self._start, PERMISSION),
            self._doorman.route("POST", f"{one}/retry", self._retry, PERMISSION),
            self._doorman.route("GET", f"{one}/broken-rows", self._broken_rows, PERMISSION),
        ]

    async def _list(self, _request: Request, member: Member) -> Any:
        found = await self._imports.newest(member.tenant)
        targets = [{"name": one.name, "zh": one.zh, "en": one.en} for one in columns.known()]
        return {"imports": [_shown(one) for one in found], "targets": targets}

    async def _bring(self, request: Request, member: Member) -> Any:
        content = await self._read(request)
        query = request.query_params
        made = await self._imports.bring(
            member, query.get("name", ""), content, source=query.get("source", "import")
        )
        return JSONResponse(_with_columns(Whole(made, Progress())), 201)

    async def _show(self, request: Request, member: Member) -> Any:
        return _with_columns(await self._imports.whole(member.tenant, _id(request)))

    async def _remap(self, request: Request, member: Member) -> Any:
        form = await read_form(request, Columns)
        found = await self._imports.remap(member, _id(request), form.targets)
        return _with_columns(Whole(found, Progress()))

    async def _start(self, request: Request, member: Member) -> Any:
        key = request.headers.get("idempotency-key", "")
        await self._imports.start(member, _id(request), key=key)
        shown = _with_columns(await self._imports.whole(member.tenant, _id(request)))
        return JSONResponse(shown, 202)

    async def _retry(self, request: Request, member: Member) -> Any:
        return {"batches": await self._imports.retry(member, _id(request))}

    async def _discard(self, request: Request, member: Member) -> Any:
        await self._imports.discard(member, _id(request))
        return {"discarded": True}

    async def _broken_rows(self, request: Request, member: Member) -> Response:
        found = await self._imports.get(member.tenant, _id(request))
        headers = {"Content-Disposition": kinds.disposition(f"left-out-{found.id}.csv", inline=False)}
        lines = self.left_out_lines(member, found)
        return StreamingResponse(lines, media_type=tables.MEDIA_TYPE, headers=headers)

    async def left_out_lines(self, member: Member, found: Import) -> AsyncIterator[str]:
        yield tables.left_out_head(found.sheet["header"])
        async for number, body in self._imports.left_out(member.tenant, found.id):
            yield tables.left_out_line(number, body)

    async def _read(self, request: Request) -> bytes:
        """Raises `InvalidInput` as soon as it is too large."""
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self._imports.largest:
                raise errors.InvalidInput(
                    f"The file is larger than {self._imports.largest} bytes; cut it in two.", code="too_large"
                )
        return bytes(body)


def _id(request: Request) -> str:
    return str(request.path_params["id"])


def _shown(whole: Whole) -> dict[str, Any]:
    one, done = whole.one, whole.progress
    return {
        "id": one.id, "name": one.name, "source": one.source, "state": one.state, "rows": one.sheet["rows"],
        "size": one.size, "encoding": one.sheet["encoding"], "delimiter": one.sheet["delimiter"],
        "created_at": to_milliseconds(one.created_at),
        "started_at": None if one.started_at is None else to_milliseconds(one.started_at),
        "ended_at": None if one.ended_at is None else to_milliseconds(one.ended_at),
        "progress": {
            "rows": done.rows, "done": done.done, "new": done.added, "updated": done.updated,
            "unchanged": done.unchanged, "left_out": done.left_out,
            "aside": [
                {"batch": at.number, "first_row": at.first_row, "last_row": at.last_row, "error": at.error}
                for at in done.aside
            ],
        },
    }  # fmt: skip


def _with_columns(whole: Whole) -> dict[str, Any]:
    one = whole.one
    sheet: Mapping[str, Any] = one.sheet
    return {
        **_shown(whole),
        "columns": [
            {"header": header, "target": target, "samples": samples}
            for header, target, samples in zip(sheet["header"], one.targets, sheet["samples"], strict=True)
        ],
        "preview": dict(one.preview),
    }
