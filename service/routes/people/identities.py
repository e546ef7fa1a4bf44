"""Who is who, over HTTP: a customer's identities, linking and splitting, the review queue, search, and the matching models.

For members of the staff; each part asks their permission itself and writes the audit with what it does. Ids of customers from
any time lead to the customer of today. What was masked stays masked here, until it is opened with a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from pydantic import Field, StringConstraints
from starlette.requests import Request
from starlette.routing import BaseRoute

from customers.graph.operations import Preview
from customers.graph.records import Evidence
from customers.linking.training import Version
from customers.matching.scorer import Explanation, Reason
from customers.profile import profile as profiles
from foundation import errors
from foundation.clock import to_milliseconds
from foundation.messages import Frozen
from foundation.storage.database import Database
from operations.identities import masks
from operations.identities.parts import Identities
from operations.identities.person import Named, Step, Talk, Whole
from operations.identities.reviews import Pair
from operations.staff import Member
from service.operator import Doorman
from service.routes.forms import read_form

Id = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Words = Annotated[str, StringConstraints(max_length=2000)]
LARGEST = 10**15


class Search(Frozen):
    text: Words


class Opening(Frozen):
    what: Id
    reason: Words


class Two(Frozen):
    one: Id
    other: Id


class Deed(Two):
    reason: Words


class Chosen(Frozen):
    identities: tuple[Id, ...] = Field(max_length=200)


class Splitting(Chosen):
    reason: Words


class Why(Frozen):
    reason: Words


class Decision(Deed):
    same: bool


class Live(Frozen):
    """`version` None: the model that we ship."""

    version: int | None
    reason: Words


@dataclass(frozen=True, slots=True)
class IdentityRoutes:
    parts: Identities
    database: Database
    doorman: Doorman

    def routes(self) -> Sequence[BaseRoute]:
        one, of, models = "/v1/customers/{id}", "/v1/identities", "/v1/matching/models"
        return [
            self.doorman.route("POST", "/v1/customers/search", self._search),
            self.doorman.route("GET", f"{one}/identities", self._whole),
            self.doorman.route("POST", f"{one}/open", self._open),
            self.doorman.route("POST", f"{of}/link", self._link),
            self.doorman.route("POST", f"{of}/link/preview", self._preview_link),
            self.doorman.route("POST", f"{of}/split", self._split),
            self.doorman.route("POST", f"{of}/split/preview", self._preview_split),
            self.doorman.route("POST", f"{of}/apart", self._apart),
            self.doorman.route("POST", f"{of}/{{id}}/new-holder", self._new_holder),
            self.doorman.route("GET", f"{of}/operations", self._history),
            self.doorman.route("POST", f"{of}/operations/{{number}}/undo", self._undo),
            self.doorman.route("GET", "/v1/reviews", self._reviews),
            self.doorman.route("POST", "/v1/reviews/decide", self._decide),
            self.doorman.route("GET", models, self._versions),
            self.doorman.route("POST", f"{models}/learn", self._learn),
            self.doorman.route("POST", f"{models}/live", self._make_live),
        ]

    async def _search(self, request: Request, member: Member) -> Any:
        form = await read_form(request, Search)
        return {"customers": [asdict(one) for one in await self.parts.names.find(member, form.text)]}

    async def _whole(self, request: Request, member: Member) -> Any:
        member.require("desk.read")
        name = request.path_params["id"]
        return _person(await self.database.read(lambda c: self.parts.reading.whole(c, member.tenant, name)))

    async def _open(self, request: Request, member: Member) -> Any:
        form = await read_form(request, Opening)
        customer = request.path_params["id"]
        return {"value": await self.parts.names.open(member, customer, form.what, reason=form.reason)}

    async def _link(self, request: Request, member: Member) -> Any:
        form = await read_form(request, Deed)
        return {"customer_id": await self.parts.desk.link(member, form.one, form.other, reason=form.reason)}

    async def _preview_link(self, request: Request, member: Member) -> Any:
        form = await read_form(request, Two)
        return _preview(await self.parts.desk.preview_link(member, form.one, form.other))

    async def _split(self, request: Request, member: Member) -> Any:
        form = await read_form(request, Splitting)
        return {"operation": await self.parts.desk.split(member, form.identities, reason=form.reason)}

    async def _preview_split(self, request: Request, member: Member) -> Any:
        form = await read_form(request, Chosen)
        return _preview(await self.parts.desk.preview_split(member, form.identities))

    async def _apart(self, request: Request, member: Member) -> Any:
        form = await read_form(request, Deed)
        return {
            "operation": await self.parts.desk.keep_apart(member, form.one, form.other, reason=form.reason)
        }

    async def _new_holder(self, request: Request, member: Member) -> Any:
        form = await read_form(request, Why)
        begun = await self.parts.desk.new_holder(member, request.path_params["id"], reason=form.reason)
        return {"identity": begun}

    async def _history(self, request: Request, member: Member) -> Any:
        given = request.query_params.get("before")
        before = None if given is None else _number(given)
        return {"operations": [_step(one) for one in await self.parts.desk.history(member, before=before)]}

    async def _undo(self, request: Request, member: Member) -> Any:
        form = await read_form(request, Why)
        number = _number(request.path_params["number"])
        return {"operation": await self.parts.desk.undo(member, number, reason=form.reason)}

    async def _reviews(self, _request: Request, member: Member) -> Any:
        left, pairs = await self.parts.reviews.waiting(member)
        return {"left": left, "pairs": [_pair(one) for one in pairs]}

    async def _decide(self, request: Request, member: Member) -> Any:
        form = await read_form(request, Decision)
        item = await self.parts.reviews.decide(
            member, form.one, form.other, same=form.same, reason=form.reason
        )
        return {"status": item.status}

    async def _versions(self, _request: Request, member: Member) -> Any:
        return {"models": [_version(one) for one in await self.parts.models.versions(member)]}

    async def _learn(self, _request: Request, member: Member) -> Any:
        return _version(await self.parts.models.learn(member))

    async def _make_live(self, request: Request, member: Member) -> Any:
        form = await read_form(request, Live)
        await self.parts.models.make_live(member, form.version, reason=form.reason)
        return {"version": form.version}


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text[:20]) > LARGEST:
        raise errors.InvalidInput("An operation has a number.", code="bad_number")
    return int(text)


def _person(found: Whole) -> dict[str, Any]:
    return {
        "customer_id": found.customer_id, "name": found.name, "account": masks.mask("account", found.account),
        "do_not_disclose": found.has_likely, "identities": [_named(one) for one in found.identities],
        "claims": [{**asdict(one), "at": to_milliseconds(one.at)} for one in found.claims],
        "conflicts": [_evidence(one) for one in found.conflicts],
        "conversations": [_talk(one) for one in found.talks], "profile": profiles.shown(found.profile),
        "operations": [_step(one) for one in found.history],
    }  # fmt: skip


def _named(one: Named) -> dict[str, Any]:
    return {
        "id": one.id, "namespace": one.namespace, "value": one.value, "masked": one.is_masked, "badge": one.badge,
        "shared": one.shared, "first_seen": to_milliseconds(one.first_seen), "last_seen": to_milliseconds(one.last_seen),
        "conversations": one.talks, "pair": one.pair, "score": one.score, "operation": one.op, "by": one.by,
        "reasons": _reasons(one.explanation),
    }  # fmt: skip


def _reasons(found: Explanation | None) -> list[dict[str, Any]]:
    return [_reason(one) for one in found.reasons] if found else []


def _reason(one: Reason) -> dict[str, Any]:
    return {"comparison": one.comparison, "label": one.label, "bits": round(one.bits, 3)}


def _evidence(one: Evidence) -> dict[str, Any]:
    edge = one.edge
    return {
        "one": edge.a, "other": edge.b, "evidence": edge.evidence, "strength": edge.strength.name.lower(), "score": edge.score,
        "at": edge.at, "by": one.actor, "refused": one.suppressed, "operation": one.made_by,
    }  # fmt: skip


def _talk(one: Talk) -> dict[str, Any]:
    talk = one.conversation
    return {
        "id": talk.id, "channel": talk.channel, "identity": one.identity_id, "status": talk.status, "holder": talk.holder,
        "open_matter": one.is_open_matter, "created_at": to_milliseconds(talk.created_at),
        "updated_at": to_milliseconds(talk.updated_at), "last_text": one.last_text, "last_role": one.last_role,
    }  # fmt: skip


def _step(one: Step) -> dict[str, Any]:
    done = one.operation
    return {
        "number": done.number, "at": to_milliseconds(done.at), "kind": done.kind, "by": done.actor, "reason": done.reason,
        "identities": done.payload["identities"], "rest": done.payload.get("rest", []), "undoes": done.undoes,
        "undone": one.undone, "can_be_undone": one.can_be_undone,
    }  # fmt: skip


def _preview(found: Preview) -> dict[str, Any]:
    return {
        "refused": found.refused, "conflicts": [_evidence(one) for one in found.conflicts],
        "sides": [
            {
                "identities": [
                    {"id": one.id, "namespace": one.namespace, "value": masks.mask(one.namespace, one.value)}
                    for one in side.members
                ],
                "conversations": [conversation_id for _, conversation_id in side.conversations],
            }
            for side in found.sides
        ],
    }  # fmt: skip


def _pair(one: Pair) -> dict[str, Any]:
    sides = [
        {
            "identity": side.identity_id, "customer_id": side.customer_id, "namespace": side.namespace, "value": side.value,
            "first_seen": to_milliseconds(side.first_seen), "last_seen": to_milliseconds(side.last_seen),
        }
        for side in (one.left, one.right)
    ]  # fmt: skip
    return {
        "one": one.item.a, "other": one.item.b, "score": one.item.score, "model_version": one.item.model_version,
        "reasons": [_reason(why) for why in one.item.reasons], "sides": sides, "fields": [asdict(field) for field in one.fields],
        "conflicts": one.conflicts, "refused": one.refused, "drawn": one.drawn,
    }  # fmt: skip


def _version(one: Version) -> dict[str, Any]:
    return {
        "version": one.number, "made_at": to_milliseconds(one.made_at), "made_by": one.made_by, "source": one.source,
        "population": one.population, "live": one.live, "verdict": None if one.verdict is None else asdict(one.verdict),
    }  # fmt: skip
