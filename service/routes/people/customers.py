"""What other systems know about customers, over HTTP: events and statements in, profiles and data quality out.

The company's own systems prove themselves by the tenant's server key, people by their staff token. A batch is answered row by
row; only what is wrong with the whole request is a 4xx. Sending a batch again changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from pydantic import Field, SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from customers.cleaning import pipeline
from customers.cleaning.collection import Collection, RowResult
from customers.profile import profile as profiles
from customers.profile import records
from customers.profile.profile import Profiles
from foundation.clock import Clock
from foundation.messages import Frozen, TenantId
from foundation.security import equal
from foundation.storage.database import Database
from operations import audit
from operations.staff import Member
from service.operator import Doorman
from service.routes.forms import read_form

SERVER = "server"
"""Who has written, for the counts, when a system came with the server key."""


class Events(Frozen):
    source: str = Field("api", pattern=r"^[a-z][a-z0-9_-]{0,39}$")
    """Ids are unique within it."""
    events: tuple[Any, ...]


class Customers(Frozen):
    source: str = Field("crm", pattern=r"^[a-z][a-z0-9_-]{0,39}$")
    customers: tuple[Any, ...]


class Tagging(Frozen):
    tag: str = Field(max_length=200)
    reason: str = Field(max_length=1000)
    days: int | None = None


class Decision(Frozen):
    release: bool


@dataclass(frozen=True, slots=True)
class CustomerRoutes:
    collection: Collection
    profiles: Profiles
    database: Database
    doorman: Doorman
    server_keys: Mapping[str, SecretStr]
    clock: Clock

    def routes(self) -> Sequence[BaseRoute]:
        one = "/v1/customers/{id}"
        return [
            Route("/v1/events", self._events, methods=["POST"]),
            Route("/v1/customers", self._customers, methods=["POST"]),
            self.doorman.route("GET", one, self._profile, "desk.read"),
            self.doorman.route("POST", f"{one}/tags", self._tag, "desk.reply"),
            self.doorman.route("DELETE", f"{one}/tags/{{tag}}", self._untag, "desk.reply"),
            self.doorman.route("GET", "/v1/data-quality", self._quality, "customers.edit"),
            self.doorman.route("POST", "/v1/data-quality/{id}", self._decide, "customers.edit"),
        ]

    async def _events(self, request: Request) -> Response:
        tenant = await self._sender(request)
        form = await read_form(request, Events)
        return JSONResponse(
            _answered(await self.collection.add_events(tenant, form.events, source=form.source))
        )

    async def _customers(self, request: Request) -> Response:
        tenant = await self._sender(request)
        form = await read_form(request, Customers)
        return JSONResponse(
            _answered(await self.collection.add_customers(tenant, form.customers, source=form.source))
        )

    async def _sender(self, request: Request) -> TenantId:
        """The tenant of a server key, or of a member of the staff who may edit customers. All keys are compared, so that the
        time it takes tells nothing."""
        authorization = request.headers.get("authorization", "")
        scheme, _, token = authorization.partition(" ")
        found = [
            tenant
            for tenant, key in self.server_keys.items()
            if equal(key.get_secret_value(), token) and scheme.lower() == "bearer"
        ]
        if found:
            return TenantId(found[0])
        member = await self.doorman.member(authorization)
        member.require("customers.edit")
        return member.tenant

    async def _profile(self, request: Request, member: Member) -> Any:
        def read(connection: sa.Connection) -> Any:
            ids = records.customer_of(connection, member.tenant, request.path_params["id"])
            found = self.profiles.view(connection, member.tenant, ids)
            return {"identities": ids, **profiles.shown(found)}

        return await self.database.read(read)

    async def _tag(self, request: Request, member: Member) -> Any:
        form = await read_form(request, Tagging)
        identity_id = request.path_params["id"]

        def write(connection: sa.Connection) -> None:
            records.customer_of(connection, member.tenant, identity_id)
            self.profiles.tag(
                connection, member.tenant, identity_id, tag=form.tag, author=member.name, reason=form.reason, days=form.days
            )  # fmt: skip
            self._audit(connection, member, "customer.tagged", identity_id, {"tag": form.tag.strip()})

        await self.database.write(write)
        return {"tagged": True}

    async def _untag(self, request: Request, member: Member) -> Any:
        identity_id, tag = request.path_params["id"], request.path_params["tag"]

        def write(connection: sa.Connection) -> None:
            ids = records.customer_of(connection, member.tenant, identity_id)
            self.profiles.untag(connection, member.tenant, ids, tag)
            self._audit(connection, member, "customer.untagged", identity_id, {"tag": tag})

        await self.database.write(write)
        return {"untagged": True}

    async def _quality(self, _request: Request, member: Member) -> Any:
        return await self.collection.report(member.tenant)

    async def _decide(self, request: Request, member: Member) -> Any:
        form = await read_form(request, Decision)
        found = await self.collection.decide(
            member.tenant, request.path_params["id"], release=form.release, by=member.name
        )
        detail = {"release": form.release, "reason": found.reason}
        await self.database.write(lambda c: self._audit(c, member, "quarantine.decided", found.id, detail))
        return {"state": found.state}

    def _audit(
        self, connection: sa.Connection, member: Member, action: str, subject: str, detail: dict[str, Any]
    ) -> None:
        audit.write(
            connection, member.tenant, actor=member.id, action=action, subject=subject, now=self.clock(), detail=detail
        )  # fmt: skip


def _answered(results: Sequence[RowResult]) -> dict[str, Any]:
    counts = Counter(result.status for result in results)
    return {
        **{status: counts[status] for status in ("accepted", "duplicate", "quarantined", "rejected")},
        "results": [_row(result) for result in results],
    }


def _row(result: RowResult) -> dict[str, Any]:
    shown: dict[str, Any] = {"index": result.index, "id": result.id, "status": result.status}
    if result.identity_id:
        shown["identity_id"] = result.identity_id
    if result.reason:
        shown |= {"reason": result.reason, "message": pipeline.sentence(result.reason)}
    if result.notes:
        shown["changed"] = list(result.notes)
    if result.parts:
        shown["facts"] = [{**_row(part), "attribute": part.id} for part in result.parts]
        for part in shown["facts"]:
            del part["id"]
    return shown
