"""The door for what other systems know: batches of events and statements in, an answer for each row out.

The routes of the API and `note_behaviour` (what the shop's pages report) call it. A batch is cleaned by `pipeline.py` and
stored in one transaction: each row is accepted, a repeat, set aside, or sent back with the reason. A row that is sent again
changes nothing. Who calls has been authenticated; what they call an identity is believed as the tenant's own word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, cast

import sqlalchemy as sa

from customers import records as identities
from customers import search
from customers.cleaning import outliers, pipeline, records, statements
from customers.cleaning.pipeline import Bounds, Counts, Draft, Status
from customers.cleaning.records import SetAside
from customers.cleaning.statements import Stated
from customers.graph.graph import Graph
from customers.privacy import consents, suppression
from customers.privacy.consents import Consents
from customers.profile import learned, orders
from customers.profile import records as profile_records
from customers.profile.aggregates import DAY, SEEN, EventType, ProfileEvent
from customers.profile.facts import Fact, Source
from customers.profile.profile import Profiles
from foundation import errors
from foundation.clock import Clock, to_milliseconds
from foundation.messages import ConversationId, Identifier, TenantId
from foundation.storage.database import Database

MOST_ROWS = 500
MOST_FACTS = 40
SPREADS = "spreads"
"""Kind of the stored model."""
REPORT_DAYS = 30
_PROFILE_TYPES = frozenset(SEEN)


@dataclass(frozen=True, slots=True)
class RowResult:
    """`notes` are the changes that were made to the row. `parts` are the statements of a customer's row."""

    index: int
    id: str
    status: Status
    reason: str = ""
    step: str = ""
    notes: tuple[str, ...] = ()
    identity_id: str = ""
    parts: tuple[RowResult, ...] = ()


class Seen(Protocol):
    """An observation of a page or an app, as the behaviour's event carries it."""

    @property
    def id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def product(self) -> str: ...
    @property
    def seconds(self) -> float: ...


@dataclass(slots=True)
class Collection:
    database: Database
    profiles: Profiles
    clock: Clock
    consents: Consents | None = None
    """None: what a system says about consent is sent back."""
    _spreads: dict[TenantId, tuple[datetime, Mapping[str, outliers.Spread]]] = field(default_factory=dict)

    async def add_events(self, tenant: TenantId, rows: Sequence[Any], *, source: str) -> list[RowResult]:
        """Raises `InvalidInput` for a batch that is too large; whatever is wrong with a row is in its result."""
        _require_few(rows)

        def write(connection: sa.Connection) -> list[RowResult]:
            counts: Counts = Counter()
            drafts = pipeline.clean(rows, self._bounds(connection, tenant), counts)
            results = self._store(connection, tenant, drafts, source)
            pipeline.count_end(drafts, counts)
            self.count(connection, tenant, source, counts)
            return results

        return await self.database.write(write)

    async def add_customers(self, tenant: TenantId, rows: Sequence[Any], *, source: str) -> list[RowResult]:
        """Statements of a system of records. A row is accepted when one of its statements is."""
        _require_few(rows)

        return await self.database.write(lambda c: self.state_customers(c, tenant, rows, source=source))

    def state_customers(
        self, connection: sa.Connection, tenant: TenantId, rows: Sequence[Any], *, source: str, whole: bool = False
    ) -> list[RowResult]:  # fmt: skip
        """In the caller's transaction. `whole`: of a row with one statement that cannot be taken nothing is."""
        counts: Counts = Counter()
        results = [
            self._state(connection, tenant, index, row, source=source, counts=counts, whole=whole)
            for index, row in enumerate(rows)
        ]
        counts[("rows", "received")] += len(results)
        for result in results:
            counts[("rows", result.status)] += 1
        self.count(connection, tenant, source, counts)
        return results

    def note_behaviour(
        self, connection: sa.Connection, tenant: TenantId, conversation_id: ConversationId, seen: Iterable[Seen]
    ) -> int:  # fmt: skip
        """What a page or an app reports counts for the identity that its conversation came in through; 0 while nobody has
        written in it. Repeatable. A type of the shop's own is kept by others and counts nowhere."""
        entrance = identities.find_entrance(connection, tenant, conversation_id)
        if entrance is None:
            return 0
        rows = [
            {
                "id": f"{conversation_id}:{one.id}", "type": one.type, "at": one.at.isoformat(), "product": one.product,
                "seconds": one.seconds, "identity": {"namespace": "seen", "value": entrance.identity_id},
            }
            for one in seen if one.type in _PROFILE_TYPES
        ]  # fmt: skip
        counts: Counts = Counter()
        drafts = pipeline.clean(rows, self._bounds(connection, tenant), counts)
        results = self._store(connection, tenant, drafts, "behaviour", identity_id=entrance.identity_id)
        pipeline.count_end(drafts, counts)
        self.count(connection, tenant, "behaviour", counts)
        return sum(result.status == "accepted" for result in results)

    async def decide(self, tenant: TenantId, one_id: str, *, release: bool, by: str) -> SetAside:
        """Lets what was set aside in as it is, or throws it away. Raises `NotFound` and `Conflict`."""
        now = self.clock()

        def write(connection: sa.Connection) -> SetAside:
            state: records.State = "released" if release else "discarded"
            found = records.decide(connection, tenant, one_id, state=state, by=by, now=now)
            if release:
                self._let_in(connection, tenant, found)
            self.count(connection, tenant, found.source, {("quarantine", state): 1})
            return found

        return await self.database.write(write)

    async def report(self, tenant: TenantId) -> dict[str, Any]:
        """For the page of data quality: what happened to rows in the last 30 days and why, and what waits."""
        since = _day(self.clock() - timedelta(days=REPORT_DAYS))

        def read(connection: sa.Connection) -> dict[str, Any]:
            return {
                "days": REPORT_DAYS,
                "counts": [
                    {"source": source, "step": step, "reason": reason, "rows": number}
                    for source, step, reason, number in records.counted(connection, tenant, since_day=since)
                ],
                "waiting": [
                    {
                        "id": one.id, "identity_id": one.identity_id, "source": one.source, "kind": one.kind,
                        "step": one.step, "reason": one.reason, "at": to_milliseconds(one.at), "body": dict(one.body),
                    }
                    for one in records.waiting(connection, tenant)
                ],
            }  # fmt: skip

        return await self.database.read(read)

    def _store(
        self, connection: sa.Connection, tenant: TenantId, drafts: list[Draft], source: str, *, identity_id: str = ""
    ) -> list[RowResult]:  # fmt: skip
        for draft in drafts if not identity_id else ():
            self._keep_out(connection, tenant, draft, [])
        keys = [self._keys(tenant, draft, source, identity_id) for draft in drafts]
        live = [
            key
            for key, draft in zip(keys, drafts, strict=True)
            if draft.status in ("accepted", "quarantined")
        ]
        ids = [event_id for event_id, _ in live]
        known = profile_records.known_events(connection, tenant, ids) | records.known(connection, tenant, ids)
        contents = profile_records.known_contents(connection, tenant, [content for _, content in live])
        pipeline.mark_duplicates(drafts, keys, known, contents)
        results = []
        for draft, (event_id, (owner, content)) in zip(drafts, keys, strict=True):
            if draft.is_open:
                if not identity_id:
                    self._ensure(connection, tenant, owner, draft)
                self.profiles.note(
                    connection, tenant, owner, _event(event_id, draft.fields), content=content,
                    size=pipeline.size_of(draft.fields["type"], draft.fields),
                )  # fmt: skip
                number = str(draft.fields.get("order_no") or "")
                search.add(connection, self.profiles.vault, tenant, owner, ("order", number))
            elif draft.status == "quarantined":
                records.set_aside(connection, tenant, SetAside(
                    event_id, owner, source, "event", draft.step, draft.reason,
                    {"identity": [draft.namespace, draft.value], "fields": draft.fields}, self.clock(),
                ))  # fmt: skip
            results.append(RowResult(
                draft.index, str(draft.fields.get("id", ""))[:120], draft.status, draft.reason, draft.step,
                tuple(draft.notes), owner if draft.status != "rejected" else "",
            ))  # fmt: skip
        return results

    def _keys(
        self, tenant: TenantId, draft: Draft, source: str, identity_id: str
    ) -> tuple[str, tuple[str, str]]:
        """The id under which it is counted once, and who did what. An order is the same whoever tells of it."""
        if draft.status not in ("accepted", "quarantined"):
            return "", ("", "")
        owner = identity_id or self.identity_id(tenant, draft.namespace, draft.value)
        kind, told = draft.fields["type"], draft.fields
        if kind in ("order", "refund") and told.get("order_no"):
            event_id = orders.event_id(kind, owner, told["order_no"])
        else:
            event_id = f"{source}:{told['id']}"
        return event_id, (owner, self.profiles.vault.lookup_key("content", pipeline.content_of(draft)))

    def _keep_out(
        self, connection: sa.Connection, tenant: TenantId, draft: Draft, naming: Sequence[suppression.Name]
    ) -> None:
        """Who was erased is not brought back by another system, only by writing themselves."""
        names = [(draft.namespace, draft.value), *naming]
        if draft.status in ("accepted", "quarantined") and suppression.is_suppressed(
            connection, self.profiles.vault, tenant, names
        ):
            draft.end("rejected", "suppression", "erased")

    def identity_id(self, tenant: TenantId, namespace: str, value: str) -> str:
        """The id of a name that the tenant vouches for, as `customers.directory` makes it."""
        return self.profiles.vault.lookup_key("identity", tenant, "vouched", namespace, value)

    def _ensure(self, connection: sa.Connection, tenant: TenantId, identity_id: str, draft: Draft) -> None:
        Graph(self.profiles.vault, self.clock).observe(
            connection, tenant, [Identifier(namespace=draft.namespace, value=draft.value, proven=True)],
            conversation_id=ConversationId(identity_id), seen_at=draft.fields["at"],
        )  # fmt: skip

    def _state(
        self, connection: sa.Connection, tenant: TenantId, index: int, row: Any, *, source: str, counts: Counts,
        whole: bool,
    ) -> RowResult:  # fmt: skip
        """One customer of a system of records: who, and what it states about them."""
        now = self.clock()
        told = row.get("facts") if isinstance(row, dict) else None
        agreed = row.get("consents") if isinstance(row, dict) else None
        told = {} if told is None and agreed else told
        head = {"id": "customer", "type": "message", "channel": "crm", "at": now.isoformat()}
        if isinstance(row, dict):
            head |= {name: row[name] for name in ("identity", "id") if name in row}
            head |= {"at": row["observed_at"]} if row.get("observed_at") is not None else {}
        [draft] = pipeline.clean([head], Bounds(now), counts)
        if draft.is_open and (not isinstance(told, dict) or not 0 < len(told) + bool(agreed) <= MOST_FACTS):
            draft.end("rejected", "types", "facts_missing")
        if draft.is_open and agreed is not None and not self._can_agree(agreed):
            draft.end("rejected", "formats", "bad_consents")
        if draft.is_open and isinstance(told, dict):
            naming = [(name, str(told[name])) for name in ("phone", "email") if told.get(name)]
            self._keep_out(connection, tenant, draft, naming)
        if not draft.is_open:
            counts[(draft.step, draft.reason)] += 1
            status: Status = "rejected"
            return RowResult(index, str(draft.fields.get("id", ""))[:120], status, draft.reason, draft.step)
        owner = self.identity_id(tenant, draft.namespace, draft.value)
        stated = [
            statements.clean(str(name), written, now, counts)
            for name, written in cast("dict[str, Any]", told).items()
        ]
        bad = next((one for one in stated if one.status != "accepted"), None) if whole else None
        if bad is not None:
            return RowResult(index, draft.fields["id"], "rejected", bad.reason, bad.step)
        parts = tuple(
            self._state_one(connection, tenant, owner, at, one, draft=draft, source=source)
            for at, one in enumerate(stated)
        ) + self._agree(connection, tenant, owner, agreed or {}, first=len(stated))
        if any(part.status in ("accepted", "duplicate") for part in parts):
            self._ensure(connection, tenant, owner, draft)
        best = next(status for status in _BEST if any(part.status == status for part in parts))
        return RowResult(
            index, draft.fields["id"], best, "" if best == "accepted" else parts[0].reason, "", tuple(draft.notes),
            owner if best != "rejected" else "", parts,
        )  # fmt: skip

    def _can_agree(self, agreed: Any) -> bool:
        known = consents.purposes().keys() - {consents.SERVICE}
        return (
            self.consents is not None
            and isinstance(agreed, dict)
            and all(name in known and state in consents.STATES for name, state in agreed.items())
        )

    def _agree(
        self, connection: sa.Connection, tenant: TenantId, owner: str, agreed: Mapping[str, str], *, first: int
    ) -> tuple[RowResult, ...]:  # fmt: skip
        if self.consents is not None:
            for purpose, state in agreed.items():
                self.consents.state(connection, tenant, owner, purpose, state, source="crm")
        return tuple(
            RowResult(first + at, f"consent.{purpose}", "accepted") for at, purpose in enumerate(agreed)
        )

    def _state_one(
        self, connection: sa.Connection, tenant: TenantId, owner: str, at: int, stated: Stated, *, draft: Draft,
        source: str,
    ) -> RowResult:  # fmt: skip
        name = stated.attribute
        fact = Fact(owner, name, stated.value, "crm", 1, 1.0, draft.fields["at"])
        status = stated.status
        if status == "accepted" and not self.profiles.state(connection, tenant, fact):
            status = "duplicate"
        elif status == "quarantined":
            fact_id = self.profiles.vault.lookup_key("aside", tenant, owner, name, stated.value)
            body = {"identity": [draft.namespace, draft.value], "attribute": name, "value": stated.value}
            records.set_aside(connection, tenant, SetAside(
                fact_id, owner, source, "fact", stated.step, stated.reason,
                {**body, "at": draft.fields["at"].isoformat()}, self.clock(),
            ))  # fmt: skip
        return RowResult(at, name[:120], status, stated.reason, stated.step, tuple(stated.notes))

    def _let_in(self, connection: sa.Connection, tenant: TenantId, found: SetAside) -> None:
        if found.kind == "profile":
            return
        namespace, value = found.body["identity"]
        told = dict(found.body["fields"]) if found.kind == "event" else {"at": found.body["at"]}
        told["at"] = datetime.fromisoformat(told["at"])
        if namespace != "seen":
            self._ensure(connection, tenant, found.identity_id, Draft(0, told, namespace, value))
        if found.kind == "event":
            self.profiles.note(connection, tenant, found.identity_id, _event(found.id, told))
        else:
            source: Source = "crm"
            fact = Fact(
                found.identity_id, found.body["attribute"], found.body["value"], source, 1, 1.0, told["at"]
            )
            self.profiles.state(connection, tenant, fact)

    def _bounds(self, connection: sa.Connection, tenant: TenantId) -> Bounds:
        now = self.clock()
        kept = self._spreads.get(tenant)
        if kept is None or abs(now - kept[0]) >= timedelta(minutes=5):
            stored = learned.newest_models(connection, tenant).get(SPREADS, {})
            kept = self._spreads[tenant] = (now, outliers.load(stored))
        return Bounds(now, kept[1])

    def count(
        self, connection: sa.Connection, tenant: TenantId, source: str, counts: Mapping[tuple[str, str], int]
    ) -> None:
        """What cleaning changed, kept by day, source, step and reason."""
        records.add_counts(connection, tenant, source=source, day=_day(self.clock()), counts=counts)

    def forget_models(self) -> None:
        self._spreads.clear()


_BEST: tuple[Status, ...] = ("accepted", "duplicate", "quarantined", "rejected")


def _event(event_id: str, told: Mapping[str, Any]) -> ProfileEvent:
    return ProfileEvent(
        id=event_id, type=cast("EventType", told["type"]), at=told["at"], channel=told.get("channel", ""),
        language=told.get("language", ""), intent=told.get("intent", ""), product=told.get("product", ""),
        amount=told.get("amount", 0.0), seconds=told.get("seconds"), score=told.get("score"),
        ticket=told.get("ticket", ""), first_contact=told.get("first_contact", False),
    )  # fmt: skip


def _require_few(rows: Sequence[Any]) -> None:
    if not rows:
        raise errors.InvalidInput("Send at least one row.", code="no_rows")
    if len(rows) > MOST_ROWS:
        raise errors.InvalidInput(
            f"Send at most {MOST_ROWS} rows at a time; these are {len(rows)}.", code="too_many_rows"
        )


def _day(moment: datetime) -> int:
    return to_milliseconds(moment) // DAY
