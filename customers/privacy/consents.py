"""What a person's data may be used for: statements in, one answer for each purpose out, and what follows from it.

`Profiles` asks before it judges somebody, the night before it learns, the staff's desk and the chat's tools state. An answer is
worked out when it is asked for, over everybody that staff see as one customer, and the strictest of them counts: a refusal holds
also where it is only likely that it was theirs; an agreement counts only within what is proven to be one person. So nothing has
to be done when customers are merged or split.

What would surprise you: nobody who says nothing is stricter than those who say something. Otherwise an agreement would end with
the next channel that a person uses.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

import sqlalchemy as sa
import yaml

from customers.privacy import consent_records as records
from customers.privacy.consent_records import Member, Source, State, Statement
from foundation import errors
from foundation.clock import Clock
from foundation.messages import TenantId
from foundation.outward import outbox

SERVICE, QUALITY, PROFILING, MARKETING, TRAINING, GUARDIAN = (
    "service", "quality", "profiling", "marketing", "training", "guardian",
)  # fmt: skip
STATES: tuple[State, ...] = ("granted", "refused", "withdrawn")
SYSTEM_OF_RECORD = 1
"""Proof from which on a birthday can say that somebody is no child any more; that they are one, anybody's word says."""
_FILE = Path(__file__).parent / "purposes.yaml"

Because = Literal["granted", "refused", "withdrawn", "default", "child"]
Follow = Callable[[sa.Connection, TenantId, Sequence[str]], None]
"""Told whose data must not be used for a purpose any more: drops what was made of it."""
Objectors = Callable[[sa.Connection, TenantId, str], set[str]]
"""All identities of the base that must be left out of a purpose, by its name."""


def nobody(_connection: sa.Connection, _tenant: TenantId, _purpose: str) -> set[str]:
    """For a base in which nobody has been asked."""
    return set()


@dataclass(frozen=True, slots=True)
class Purpose:
    name: str
    text: int
    default: bool
    optional: bool
    title: Mapping[str, str]
    covers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Effective:
    """`said` is the statement that decides, None where nobody has said anything. `likely`: whoever said it is only likely the
    same person."""

    purpose: str
    allowed: bool
    because: Because
    said: Statement | None = None
    likely: bool = False


@dataclass(frozen=True, slots=True)
class Consented:
    purposes: Mapping[str, Effective]
    child: bool
    """Under the age from which on somebody agrees for themselves."""

    def may(self, purpose: str) -> bool:
        return self.purposes[purpose].allowed


class Consents:
    """`follow`: by purpose, what is done when it is refused; set by who builds it."""

    def __init__(self, clock: Clock, *, ask_first: Collection[str] = ()) -> None:
        self._clock = clock
        self._ask_first = frozenset(ask_first)
        self.follow: dict[str, Follow] = {}
        if unknown := self._ask_first - purposes().keys():
            raise errors.ConfigurationError(
                f"There is no purpose {', '.join(sorted(unknown))}; there are {', '.join(purposes())}."
            )

    def read(self, connection: sa.Connection, tenant: TenantId, ids: Collection[str]) -> Consented:
        """Of one customer, of whom these are identities."""
        together = _together(connection, tenant, ids)
        return self._judge(together, *self._known(connection, tenant, [one.id for one in together[0]]))

    def may(self, connection: sa.Connection, tenant: TenantId, ids: Collection[str], purpose: str) -> bool:
        return self.read(connection, tenant, ids).may(purpose)

    def may_profile(self, connection: sa.Connection, tenant: TenantId, ids: Sequence[str]) -> bool:
        return self.may(connection, tenant, ids, PROFILING)

    def objectors(self, connection: sa.Connection, tenant: TenantId, purpose: str) -> set[str]:
        """All identities of the base that must be left out; for jobs over the whole base."""
        if not self._by_default(purpose):
            agreed = records.who_said(connection, tenant, purpose, ["granted"])
            return records.everybody(connection, tenant) - (
                agreed - self._refusing(connection, tenant, purpose, agreed)
            )
        said = records.who_said(connection, tenant, purpose, ["refused", "withdrawn"])
        said |= records.who_said(connection, tenant, GUARDIAN, STATES)
        today = self._clock().date()
        said |= {
            identity
            for identity, born, _ in records.birthdays(connection, tenant)
            if _age(born, today) < under_age()
        }
        return self._refusing(connection, tenant, purpose, said)

    def _refusing(
        self, connection: sa.Connection, tenant: TenantId, purpose: str, said: Collection[str]
    ) -> set[str]:
        """Of these and of everybody together with them."""
        groups: dict[str, list[Member]] = {}
        for one in records.members(connection, tenant, said):
            groups.setdefault(one.customer_id, []).append(one)
        everybody = [one.id for group in groups.values() for one in group]
        statements, born = self._known(connection, tenant, everybody)
        found = {
            one.id
            for group in groups.values()
            if not self._judge((group, {one.access_id for one in group}), statements, born).may(purpose)
            for one in group
        }
        unknown = set(said) - set(everybody)
        return found | {one for one in unknown if not self.may(connection, tenant, [one], purpose)}

    def _by_default(self, purpose: str) -> bool:
        return purposes()[purpose].default and purpose not in self._ask_first

    def state(
        self, connection: sa.Connection, tenant: TenantId, identity_id: str, purpose: str, state: str, *, source: Source,
        actor: str = "", reason: str = "",
    ) -> Consented:  # fmt: skip
        """What holds afterwards. The same again adds nothing. An agreement is also written for the names of the same proven
        person that had refused, or it would have no effect. Raises `InvalidInput`."""
        known = _require(purpose, state)
        if known.name == SERVICE and state != "granted":
            raise errors.InvalidInput(
                "Without the service nobody can be answered. Whoever wants no service is erased instead.",
                code="service_needed",
            )
        before = self.read(connection, tenant, [identity_id])
        group, access = _together(connection, tenant, [identity_id])
        own = [one.id for one in group if one.access_id in access]
        said = records.newest(connection, tenant, own)
        about = [
            one
            for one in own
            if (one, purpose) in said and said[one, purpose].state != state and state == "granted"
        ]
        mine = said.get((identity_id, purpose))
        if mine is None or mine.state != state:
            about.append(identity_id)
        now = self._clock()
        for one in dict.fromkeys(about):
            as_said = cast("State", state)
            records.add(
                connection,
                tenant,
                Statement(one, purpose, as_said, known.text, source, actor, reason.strip(), now),
            )
        after = self.read(connection, tenant, [identity_id])
        if about:
            customer = next((one.customer_id for one in group if one.id == identity_id), identity_id)
            told = {
                "customer_id": customer, "identity_id": identity_id, "purpose": purpose, "state": state,
                "allowed": after.may(purpose), "source": source,
            }  # fmt: skip
            outbox.tell(connection, tenant, "customer.consent_changed", told, now=now)
        for name, follow in self.follow.items():
            if before.may(name) and not after.may(name):
                follow(connection, tenant, own)
        return after

    def _known(
        self, connection: sa.Connection, tenant: TenantId, ids: Collection[str]
    ) -> tuple[dict[tuple[str, str], Statement], list[tuple[str, date, int]]]:
        return records.newest(connection, tenant, ids), records.birthdays(connection, tenant, ids)

    def _judge(
        self,
        together: tuple[Sequence[Member], Collection[str]],
        said: Mapping[tuple[str, str], Statement],
        born: Sequence[tuple[str, date, int]],
    ) -> Consented:
        group, access = together
        ids = {one.id for one in group}
        own = {one.id for one in group if one.access_id in access}
        guardian = self._decide(GUARDIAN, said, ids, own)
        child = _is_child(
            [(day, proof) for identity, day, proof in born if identity in ids], guardian, self._clock().date()
        )
        found = {GUARDIAN: guardian}
        for name, purpose in purposes().items():
            if name == GUARDIAN:
                continue
            found[name] = self._decide(name, said, ids, own)
            if child and purpose.optional and not guardian.allowed and found[name].allowed:
                found[name] = Effective(name, allowed=False, because="child")
        return Consented({name: found[name] for name in purposes()}, child)

    def _decide(
        self, name: str, said: Mapping[tuple[str, str], Statement], ids: Collection[str], own: Collection[str]
    ) -> Effective:
        statements = [one for (identity, purpose), one in said.items() if purpose == name and identity in ids]
        against = [one for one in statements if one.state != "granted"]
        if against:
            one = max(against, key=lambda one: (one.identity_id in own, one.at))
            return Effective(name, False, cast("Because", one.state), one, one.identity_id not in own)
        agreed = [one for one in statements if one.identity_id in own]
        if agreed:
            return Effective(name, True, "granted", max(agreed, key=lambda one: one.at))
        return Effective(name, self._by_default(name), "default")


@cache
def purposes() -> Mapping[str, Purpose]:
    return {
        name: Purpose(
            name, one["text"], one["default"] == "granted", one["optional"], {"zh": one["zh"], "en": one["en"]},
            {"zh": one["covers_zh"], "en": one["covers_en"]},
        )
        for name, one in _file()["purposes"].items()
    }  # fmt: skip


def under_age() -> int:
    """Years."""
    return int(_file()["under_age"])


@cache
def _file() -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return loaded


def _require(purpose: str, state: str) -> Purpose:
    known = purposes().get(purpose)
    if known is None:
        raise errors.InvalidInput(
            f"There is no such purpose; there are {', '.join(purposes())}.", code="unknown_purpose"
        )
    if state not in STATES:
        raise errors.InvalidInput(f"A consent is one of {', '.join(STATES)}.", code="bad_consent_state")
    return known


def _together(
    connection: sa.Connection, tenant: TenantId, ids: Collection[str]
) -> tuple[list[Member], set[str]]:
    """Everybody of the customer, and the proven groups of those that are asked about."""
    found = records.members(connection, tenant, ids)
    known = {one.id for one in found}
    found += [Member(one, one, one) for one in dict.fromkeys(ids) if one not in known]
    return found, {one.access_id for one in found if one.id in set(ids)}


def _is_child(born: Sequence[tuple[date, int]], guardian: Effective, today: date) -> bool:
    if any(_age(day, today) < under_age() for day, _ in born):
        return True
    grown_up = any(proof >= SYSTEM_OF_RECORD for _, proof in born)
    return guardian.said is not None and not grown_up


def _age(born: date, today: date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))
