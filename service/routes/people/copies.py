"""Copies of personal data over HTTP, for members of the staff: make one of a customer, see which there are, download one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import StringConstraints
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from customers.privacy.copy_records import Copy
from foundation.clock import to_milliseconds
from foundation.messages import Frozen
from operations.privacy.copying import CopyDesk
from operations.staff import Member
from service.operator import Doorman
from service.routes.forms import read_form


class Asked(Frozen):
    """`identity`: whose proven group is meant, where the customer has several."""

    reason: Annotated[str, StringConstraints(max_length=2000)] = ""
    identity: Annotated[str, StringConstraints(max_length=200)] = ""


@dataclass(frozen=True, slots=True)
class CopyRoutes:
    desk: CopyDesk
    doorman: Doorman

    def routes(self) -> Sequence[BaseRoute]:
        return [
            self.doorman.route("POST", "/v1/customers/{id}/exports", self._make),
            self.doorman.route("GET", "/v1/privacy/exports", self._newest),
            self.doorman.route("GET", "/v1/privacy/exports/{export}", self._one),
        ]

    async def _make(self, request: Request, member: Member) -> Any:
        form = await read_form(request, Asked)
        made = await self.desk.make(
            member, request.path_params["id"], reason=form.reason, identity=form.identity
        )
        return {"export": _shown(made)}

    async def _newest(self, _request: Request, member: Member) -> Any:
        return {"exports": [_shown(one) for one in await self.desk.newest(member)]}

    async def _one(self, request: Request, member: Member) -> Any:
        """With `format` the copy itself, without it what it is."""
        export, asked = request.path_params["export"], request.query_params
        if "format" not in asked:
            return {"export": _shown(await self.desk.find(member, export))}
        found = await self.desk.download(
            member, export, format=asked["format"], language=asked.get("language", "zh")
        )
        headers = {
            "Content-Disposition": f'attachment; filename="{found.name}"', "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }  # fmt: skip
        return Response(found.content, media_type=found.media_type, headers=headers)


def _shown(one: Copy) -> dict[str, Any]:
    return {
        "id": one.id, "identity_id": one.identity_id, "by": one.actor, "reason": one.reason, "counts": dict(one.counts),
        "made_at": to_milliseconds(one.made_at), "expires_at": to_milliseconds(one.expires_at),
    }  # fmt: skip
