"""What a person may ask about their data, over HTTP, for members of the staff: erase it, and see how far that is.

A look changes nothing. The rows are gone when the answer says `erasing` or `done`; `waiting` means that a message of theirs is
being answered, after which it goes on by itself. Answers name ids and numbers, never the person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from pydantic import StringConstraints
from starlette.requests import Request
from starlette.routing import BaseRoute

from customers.privacy.erasure_records import Erasure
from foundation import errors
from foundation.clock import to_milliseconds
from foundation.messages import Frozen
from operations.privacy.desk import ErasureDesk
from operations.staff import Member
from service.operator import Doorman
from service.routes.forms import read_form

Id = Annotated[str, StringConstraints(max_length=200)]


class Asked(Frozen):
    """`identity`: whose proven group is meant, where the customer has several. `preview`: only look."""

    reason: Annotated[str, StringConstraints(max_length=2000)] = ""
    identity: Id = ""
    preview: bool = False


@dataclass(frozen=True, slots=True)
class PrivacyRoutes:
    desk: ErasureDesk
    doorman: Doorman

    def routes(self) -> Sequence[BaseRoute]:
        one = "/v1/customers/{id}/erasures"
        return [
            self.doorman.route("POST", one, self._erase),
            self.doorman.route("GET", f"{one}/{{erasure}}", self._status),
            self.doorman.route("GET", "/v1/privacy/erasures", self._newest),
            self.doorman.route("POST", "/v1/privacy/replay", self._replay),
            self.doorman.route("GET", "/v1/privacy/erasures/{erasure}", self._status),
        ]

    async def _erase(self, request: Request, member: Member) -> Any:
        form, customer = await read_form(request, Asked), request.path_params["id"]
        if form.preview:
            return {"preview": asdict(await self.desk.look(member, customer, identity=form.identity))}
        done = await self.desk.start(member, customer, reason=form.reason, identity=form.identity)
        return {"erasure": self._shown(done)}

    async def _status(self, request: Request, member: Member) -> Any:
        found = await self.desk.find(member, request.path_params["erasure"])
        customer = request.path_params.get("id", found.customer_id)
        if customer not in (found.customer_id, *found.identities):
            raise errors.NotFound("There is no such erasure of this customer.", code="unknown_erasure")
        return {"erasure": self._shown(found)}

    async def _newest(self, _request: Request, member: Member) -> Any:
        return {"erasures": [self._shown(one) for one in await self.desk.newest(member)]}

    async def _replay(self, _request: Request, member: Member) -> Any:
        return {"erasures": [self._shown(one) for one in await self.desk.replay(member)]}

    def _shown(self, one: Erasure) -> dict[str, Any]:
        return {
            "id": one.id, "customer_id": one.customer_id, "state": one.state, "by": one.actor, "reason": one.reason,
            "begun_at": to_milliseconds(one.begun_at), "done_at": None if one.done_at is None else to_milliseconds(one.done_at),
            "identities": len(one.identities), "conversations": len(one.conversations), "steps": list(self.desk.steps),
            "receipts": [
                {"step": receipt.step, "counts": dict(receipt.counts), "at": to_milliseconds(receipt.at)}
                for receipt in one.receipts
            ],
        }  # fmt: skip
