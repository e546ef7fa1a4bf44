"""The profile of a customer: events and statements in, everything known about them at this moment out.

The turn, the desk, the routes and the orders' watch call `note` and `state` inside their own transactions; `read` combines
the identities that are asked for, so merging and splitting customers moves nothing here. Callers decide which identities a
session may see: `own` is the one rule for the agent.

What would surprise you: `Known.after` shows what a profile will be with one more event, without storing it. The turn judges
with it before anything is committed, and the event is stored when the turn is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from customers import changed
from customers.profile import aggregates, facts, figures, learned, records, risk, tags, value
from customers.profile.aggregates import ProfileEvent, Shard
from customers.profile.facts import Chosen, Fact
from customers.profile.figures import Figures
from customers.profile.objecting import INFERRED
from customers.profile.risk import Card, Kind, Risk
from customers.profile.tags import Tag
from customers.profile.value import Cuts, Score, Standing, Tier
from foundation import errors
from foundation.clock import Clock, to_milliseconds
from foundation.messages import CustomerId, TenantId
from foundation.outward import outbox
from foundation.security import Vault

MODELS_KEPT = timedelta(minutes=5)
TAG_LENGTH = 40
REASON_LENGTH = 300
LONGEST_TAG_DAYS = 3650

MayProfile = Callable[[sa.Connection, TenantId, Sequence[str]], bool]
"""Whether all of these identities let us judge them; without it service goes on, value and risk do not exist."""


@dataclass(frozen=True, slots=True)
class Models:
    cards: Mapping[Kind, Card]
    cuts: Cuts | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """`tier` and `score` are None for who has bought nothing, while the base is too small, or who objected."""

    figures: Figures
    facts: Mapping[str, Chosen]
    tags: tuple[Tag, ...]
    tier: Tier | None
    score: Score | None
    risks: Mapping[Kind, Risk]
    buyers_compared: int
    """0 while the base is too small to compare with."""
    judged: bool
    """False: the customer objected to being judged."""

    def fact(self, attribute: str) -> str:
        chosen = self.facts.get(attribute)
        return chosen.fact.value if chosen else ""


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored about some identities, before it is read for a moment."""

    identity_ids: tuple[str, ...]
    shard: Shard
    models: Models
    facts: tuple[Fact, ...] = ()
    tags: tuple[Tag, ...] = ()
    standing: Standing | None = None
    judged: bool = True

    def after(self, event: ProfileEvent) -> Known:
        shard = aggregates.after(self.shard, event)
        return replace(self, shard=shard if self.judged else aggregates.of_service(shard))

    def at(self, now: datetime, *, preferred: Collection[str] = ()) -> Profile:
        """`preferred` as in `facts.survivors`."""
        shown = figures.read(self.shard, now)
        risks: dict[Kind, Risk] = {}
        score = None
        if self.judged:
            known = risk.features(shown, now)
            risks = {kind: risk.judge(card, known) for kind, card in self.models.cards.items()}
            score = value.score(shown.buying, self.models.cuts, now) if self.models.cuts else None
        return Profile(
            figures=shown, facts=facts.survivors(self.facts, preferred=preferred),
            tags=(*self.tags, *(tags.derive(shown, risks, tags.rules()) if self.judged else ())),
            tier=_tier(self.standing, score), score=score, risks=risks,
            buyers_compared=self.models.cuts.buyers if self.models.cuts else 0, judged=self.judged,
        )  # fmt: skip


@dataclass(slots=True)
class Profiles:
    vault: Vault
    clock: Clock
    may_profile: MayProfile | None = None
    """None: nobody has been asked, and nobody has objected."""
    _models: dict[TenantId, tuple[datetime, Models]] = field(default_factory=dict)

    def note(
        self, connection: sa.Connection, tenant: TenantId, identity_id: str, event: ProfileEvent, *,
        content: str | None = None, size: float | None = None,
    ) -> bool:  # fmt: skip
        """Counted once: False when this event was there already. `content` and `size` as in `records.Entry`."""
        judged = self._may_judge(connection, tenant, [identity_id])
        entry = records.Entry(event.id, identity_id, event.type, event.at, content, size if judged else None)
        if not records.add_event(connection, tenant, entry):
            return False
        more = aggregates.of_event(event) if judged else aggregates.of_service(aggregates.of_event(event))
        records.change_shard(connection, tenant, identity_id, now=self.clock(), more=more)
        return True

    def state(self, connection: sa.Connection, tenant: TenantId, fact: Fact, *, occasion: str = "") -> bool:
        """A statement about somebody; the same on the same `occasion` (default: its moment) is there once."""
        occasion = occasion or str(to_milliseconds(fact.observed_at))
        fact_id = self.fact_id(tenant, fact)
        entry = records.Entry(f"fact:{fact_id}:{occasion}", fact.identity_id, "fact", fact.observed_at)
        if not records.add_event(connection, tenant, entry):
            return False
        changed.mark(connection, tenant, fact.identity_id)
        if records.state_fact(connection, tenant, fact_id, fact):
            told = {
                "identity_id": fact.identity_id,
                "attribute": fact.attribute,
                "source": fact.source,
            }
            outbox.tell(connection, tenant, "profile.changed", told, now=self.clock())
        return True

    def fact_id(self, tenant: TenantId, fact: Fact) -> str:
        """The same for the same statement from the same source, whenever it is made."""
        return self.vault.lookup_key(
            "fact", tenant, fact.identity_id, fact.attribute, fact.source, fact.value
        )

    def find(self, connection: sa.Connection, tenant: TenantId, identity_ids: Iterable[str]) -> Known:
        """What is stored about these identities together; empty ones are no error."""
        ids = tuple(dict.fromkeys(identity_ids))[: records.MOST_IDENTITIES]
        now, judged = self.clock(), self._may_judge(connection, tenant, ids)
        shard = records.read_shard(connection, tenant, ids)
        stated = records.read_facts(connection, tenant, ids)
        return Known(
            identity_ids=ids,
            shard=shard if judged else aggregates.of_service(shard),
            facts=tuple(one for one in stated if judged or one.source != INFERRED),
            tags=tuple(records.read_tags(connection, tenant, ids, now)),
            standing=records.read_standing(connection, tenant, ids) if judged else None,
            judged=judged,
            models=self._find_models(connection, tenant, now),
        )

    def view(
        self, connection: sa.Connection, tenant: TenantId, identity_ids: Iterable[str], *, preferred: Collection[str] = ()
    ) -> Profile:  # fmt: skip
        return self.find(connection, tenant, identity_ids).at(self.clock(), preferred=preferred)

    def own(
        self, connection: sa.Connection, tenant: TenantId, identity_id: str, access_id: str, *, proven: bool
    ) -> list[str]:  # fmt: skip
        """Which identities a session may hear of: all that are proven to be this person once an account is, before that only
        the one it came in through."""
        if not proven:
            return [identity_id]
        return [identity_id, *records.identities_within_access(connection, tenant, access_id)]

    def of_customer(
        self, connection: sa.Connection, tenant: TenantId, identity_id: str, customer_id: CustomerId
    ) -> list[str]:
        """For staff: likely ones as well."""
        return [identity_id, *records.identities_of(connection, tenant, customer_id)]

    def tag(
        self, connection: sa.Connection, tenant: TenantId, identity_id: str, *, tag: str, author: str, reason: str,
        days: int | None = None,
    ) -> None:  # fmt: skip
        """By hand. `days` until it runs out, None for never. Raises `InvalidInput`."""
        tag, reason = tag.strip(), reason.strip()
        if not tag or len(tag) > TAG_LENGTH:
            raise errors.InvalidInput(f"A tag has 1 to {TAG_LENGTH} characters.", code="bad_tag")
        if not reason or len(reason) > REASON_LENGTH:
            raise errors.InvalidInput(
                f"Say why, in at most {REASON_LENGTH} characters: others will act on the tag.", code="reason_length"
            )  # fmt: skip
        if days is not None and not 0 < days <= LONGEST_TAG_DAYS:
            raise errors.InvalidInput(
                f"A tag lasts 1 to {LONGEST_TAG_DAYS} days, or leave the days out.", code="bad_tag_days"
            )
        now = self.clock()
        until = None if days is None else now + timedelta(days=days)
        records.set_tag(
            connection, tenant, identity_id, Tag(tag, "staff", 1.0, reason, author, now, until)
        )  # fmt: skip
        told = {
            "identity_id": identity_id,
            "tag": tag,
            "expires_at": None if until is None else to_milliseconds(until),
        }
        outbox.tell(connection, tenant, "tag.added", told, now=now)

    def untag(
        self, connection: sa.Connection, tenant: TenantId, identity_ids: Sequence[str], tag: str
    ) -> None:
        """Raises `NotFound`; tags by rule and model go when their reason goes."""
        holders = records.drop_tag(connection, tenant, identity_ids, tag)
        if not holders:
            raise errors.NotFound("There is no such tag set by hand on this customer.", code="unknown_tag")
        for holder in holders:
            told = {"identity_id": holder, "tag": tag}
            outbox.tell(connection, tenant, "tag.removed", told, now=self.clock())

    def _may_judge(self, connection: sa.Connection, tenant: TenantId, ids: Sequence[str]) -> bool:
        return self.may_profile is None or self.may_profile(connection, tenant, ids)

    def forget(self, connection: sa.Connection, tenant: TenantId, identity_ids: Sequence[str]) -> int:
        """Everything here about these identities; returns how many rows went. For erasure."""
        gone = records.forget(connection, tenant, identity_ids)
        return gone + learned.forget_cases(connection, tenant, identity_ids)

    def _find_models(self, connection: sa.Connection, tenant: TenantId, now: datetime) -> Models:
        kept = self._models.get(tenant)
        if kept is not None and abs(now - kept[0]) < MODELS_KEPT:
            return kept[1]
        stored = learned.newest_models(connection, tenant)
        cards: dict[Kind, Card] = {
            kind: risk.load(stored[kind]) if kind in stored else card for kind, card in risk.cards().items()
        }
        models = Models(cards, value.load(stored["value"]) if "value" in stored else None)
        self._models[tenant] = (now, models)
        return models

    def forget_models(self) -> None:
        """The next who asks reads them anew."""
        self._models.clear()


def _tier(standing: Standing | None, score: Score | None) -> Tier | None:
    """Between two nights somebody new is placed by their score; afterwards only the night moves them."""
    if score is None:
        return None
    return standing.tier if standing is not None else value.tier_of(score.points)


def shown(profile: Profile) -> dict[str, Any]:
    """As plain values, for the API."""
    service, interaction = profile.figures.service, profile.figures.interaction
    return {
        "facts": [_shown_fact(chosen) for chosen in profile.facts.values()],
        "tags": [
            {
                "tag": one.tag, "origin": one.origin, "score": one.score, "reason": one.reason, "author": one.author,
                "expires_at": None if one.expires_at is None else to_milliseconds(one.expires_at),
            }
            for one in profile.tags
        ],
        "value": {
            "tier": profile.tier, "orders": profile.figures.buying.orders,
            "amount": round(profile.figures.buying.amount, 2), "compared_with": profile.buyers_compared,
            "score": None if profile.score is None else [
                profile.score.recency, profile.score.frequency, profile.score.monetary
            ],
        },
        "risks": {
            kind: {
                "level": one.level, "probability": round(one.probability, 4), "learned": one.learned,
                "reasons": [
                    {"feature": why.feature, "value": round(why.value, 3), "points": round(why.points, 3)}
                    for why in one.reasons
                ],
            }
            for kind, one in profile.risks.items()
        },
        "interaction": {
            "contacts": dict(interaction.contacts), "preferred_channel": interaction.preferred_channel,
            "language": interaction.language, "seen": dict(interaction.seen),
        },
        "service": {
            "opened": service.opened, "open": len(service.open_since), "satisfaction": service.satisfaction,
        },
        "mood": profile.figures.feeling.mean,
        "interests": [[one.kind, one.name, round(one.weight, 3)] for one in profile.figures.interests],
        "judged": profile.judged,
    }  # fmt: skip


def _shown_fact(chosen: Chosen) -> dict[str, Any]:
    def one(fact: Fact) -> dict[str, Any]:
        return {
            "value": facts.masked(fact), "source": fact.source, "proof": fact.proof, "confidence": fact.confidence,
            "observed_at": to_milliseconds(fact.observed_at), "times": fact.times,
        }  # fmt: skip

    return {
        "attribute": chosen.fact.attribute,
        **one(chosen.fact),
        "conflicts": [one(fact) for fact in chosen.conflicts],
    }
