"""What is known about one identity, as matching and searching read it: its own name, statements and claims in. Pure but for
`read`, which collects them.

What would surprise you: who states something decides whether it may ever link. What a customer writes in a chat or a form is
a claim, however well they have proven who they are: a proven person may give somebody else's number.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from customers import search
from customers.graph import claims
from customers.graph import records as graph_records
from customers.graph.claims import Claim
from customers.graph.partition import ACCOUNT
from customers.graph.records import Identity
from customers.matching.features import Record
from customers.profile import facts as statements
from customers.profile import records as profile_records
from customers.profile.facts import Fact
from foundation.messages import TenantId

TRUSTED = frozenset({"staff", "account", "crm", "channel"})
"""Sources whose word is more than what somebody says of themselves."""

_COLUMNS = {
    "name": "name", "phone": "phone", "email": "email", "birthday": "birth_date", "city": "city", "company": "company",
    "custom.address": "address", "custom.device": "device", "custom.ip": "ip",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dossier:
    identity: Identity
    facts: tuple[Fact, ...] = ()
    claims: tuple[Claim, ...] = ()

    @property
    def record(self) -> Record:
        """Of each attribute the trusted value, else what was only claimed."""
        claimed, trusted = dict(self._claimed()), dict(self._trusted())
        return Record(claimed | trusted, frozenset(claimed.keys() - trusted.keys()))

    @property
    def searched(self) -> list[tuple[search.Kind, str]]:
        """By what staff find them: also by what is only claimed, because that is what the person on the phone says."""
        kind = search.kind_of(self.identity.namespace)
        found = [(kind, self.identity.value)] if kind else []
        if self.identity.display_name:
            found.append(("name", self.identity.display_name))
        for fact in self.facts:
            if fact.attribute in ("phone", "email", "name"):
                found.append((fact.attribute, fact.value))  # type: ignore[arg-type]  # narrowed by the line above
        for claim in self.claims:
            if kind := search.kind_of(claim.namespace):
                found.append((kind, claim.value))
        return list(dict.fromkeys(found))

    def _trusted(self) -> list[tuple[str, str]]:
        chosen = statements.survivors(fact for fact in self.facts if fact.source in TRUSTED)
        found: list[tuple[str, str]] = [
            (_COLUMNS[name], one.fact.value) for name, one in chosen.items() if name in _COLUMNS
        ]
        identity = self.identity
        if identity.namespace == ACCOUNT and identity.display_name:
            found.insert(0, ("name", identity.display_name))
        if identity.proven and not identity.shared:
            kind = search.kind_of(identity.namespace)
            if kind in ("phone", "email"):
                found.append((kind, identity.value))
            elif identity.device:
                found.append(("device", identity.value))
        return found

    def _claimed(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for claim in self.claims:
            if (kind := search.kind_of(claim.namespace)) in ("phone", "email"):
                found.append((kind, claim.value))
        chosen = statements.survivors(fact for fact in self.facts if fact.source not in TRUSTED)
        return [
            *found,
            *((_COLUMNS[name], one.fact.value) for name, one in chosen.items() if name in _COLUMNS),
        ]


def read(
    connection: sa.Connection, tenant: TenantId, ids: Collection[str], *, now: datetime
) -> dict[str, Dossier]:
    """Of identities that are no more there is none."""
    known = graph_records.find_many(connection, tenant, ids)
    stated = _by_identity(profile_records.read_facts(connection, tenant, list(known)))
    said: dict[str, list[Claim]] = {}
    for claim in claims.find(connection, tenant, list(known), now=now):
        said.setdefault(claim.identity_id, []).append(claim)
    return {
        one: Dossier(identity, tuple(stated.get(one, ())), tuple(said.get(one, ())))
        for one, identity in known.items()
    }


def _by_identity(found: Sequence[Fact]) -> dict[str, list[Fact]]:
    kept: dict[str, list[Fact]] = {}
    for fact in found:
        kept.setdefault(fact.identity_id, []).append(fact)
    return kept
