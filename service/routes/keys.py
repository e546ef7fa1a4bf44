"""Rotating keys over HTTP: start it, and see how far it is. For administrators; answers hold numbers, never a key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import StringConstraints
from starlette.requests import Request
from starlette.routing import BaseRoute

from foundation.messages import Frozen
from operations.privacy.rotation import Rotation
from operations.staff import Member
from service.operator import Doorman
from service.routes.forms import read_form


class Rotating(Frozen):
    reason: Annotated[str, StringConstraints(max_length=2000)]


@dataclass(frozen=True, slots=True)
class KeyRoutes:
    rotation: Rotation
    doorman: Doorman

    def routes(self) -> Sequence[BaseRoute]:
        return [
            self.doorman.route("POST", "/v1/keys/rotate", self._rotate),
            self.doorman.route("GET", "/v1/keys", self._state),
        ]

    async def _rotate(self, request: Request, member: Member) -> Any:
        form = await read_form(request, Rotating)
        await self.rotation.begin(member, reason=form.reason)
        return await self._state(request, member)

    async def _state(self, _request: Request, member: Member) -> Any:
        found = await self.rotation.state(member)
        return {
            "key": found.kid, "known": list(found.known), "waiting": found.waiting, "done": found.is_done,
            "steps": [
                {"step": one.name, "changed": one.changed, "done": one.done_at is not None} for one in found.steps
            ],
        }  # fmt: skip
