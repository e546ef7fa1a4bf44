"""What customers agree to, over HTTP, for members of the staff; the company's own systems send it with `POST /v1/customers`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import StringConstraints
from starlette.requests import Request
from starlette.routing import BaseRoute

from foundation.messages import Frozen
from operations.privacy import consenting
from operations.privacy.consenting import ConsentDesk
from operations.staff import Member
from service.operator import Doorman
from service.routes.forms import read_form

Short = Annotated[str, StringConstraints(max_length=200)]


class Change(Frozen):
    """`identity`: whose proven group is meant, where the customer has several."""

    purpose: Short
    state: Short
    reason: Annotated[str, StringConstraints(max_length=2000)] = ""
    identity: Short = ""


@dataclass(frozen=True, slots=True)
class ConsentRoutes:
    desk: ConsentDesk
    doorman: Doorman

    def routes(self) -> Sequence[BaseRoute]:
        one = "/v1/customers/{id}/consents"
        return [
            self.doorman.route("GET", one, self._look),
            self.doorman.route("PUT", one, self._change),
        ]

    async def _look(self, request: Request, member: Member) -> Any:
        return consenting.shown(await self.desk.look(member, request.path_params["id"]))

    async def _change(self, request: Request, member: Member) -> Any:
        form = await read_form(request, Change)
        done = await self.desk.change(
            member, request.path_params["id"], purpose=form.purpose, state=form.state, reason=form.reason,
            identity=form.identity,
        )  # fmt: skip
        return consenting.shown(done)
