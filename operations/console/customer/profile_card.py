"""The part of the desk's right side that says what is known about a customer: facts with source and age, tags, value, and risk
with its reasons. Drawn by `side_panel`; shows a `View` and reads nothing itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Protocol

from nicegui import ui

from customers.profile import facts
from customers.profile.facts import Chosen
from customers.profile.profile import Profile
from customers.profile.risk import Reason, Risk
from customers.profile.tags import Tag
from customers.profile.value import LEAST_BUYERS
from operations.console import frame
from operations.console.reading import Titles
from operations.console.words import Words

_LEVEL_TONES = {"high": "bad", "medium": "warn", "low": "good"}
_TIER_TONES = {"top": "accent", "high": "accent"}
_TAG_TONES = {"staff": "accent", "model": "warn"}
FACTS_SHOWN = 12
INTERESTS_SHOWN = 3


class Known(Protocol):
    """What the card shows: the desk's view of a conversation, or a customer's page."""

    @property
    def profile(self) -> Profile | None: ...
    @property
    def now(self) -> datetime: ...
    @property
    def titles(self) -> Titles: ...
    @property
    def likely(self) -> frozenset[str]:
        """Identities that are only likely this customer's."""
        ...


class ProfileCard:
    """`on_open` is asked to show the whole of a masked attribute; without it there is no way to."""

    def __init__(self, words: Words, on_open: Callable[[str], None] | None = None) -> None:
        self._words = words
        self._on_open = on_open

    def key(self, view: Known) -> object:
        """What is drawn, without the figures that change by the second: the card is not redrawn because time passes."""
        profile = view.profile
        if profile is None:
            return None
        risks = tuple((kind, one.level, round(one.probability, 2)) for kind, one in profile.risks.items())
        buying, interaction = profile.figures.buying, profile.figures.interaction
        return (
            tuple(profile.facts.values()), view.likely, profile.tags, profile.tier, profile.score, risks, profile.judged, buying.orders,
            sum(interaction.contacts.values()), profile.figures.service.open_since,
        )  # fmt: skip

    def draw(self, view: Known) -> None:
        words, profile = self._words, view.profile
        frame.section(words("profile.title"))
        if profile is None or _is_empty(profile):
            ui.label(words("profile.empty")).classes("quiet").mark("profile-empty")
            return
        with ui.element("div").classes("card").mark("profile"):
            self._draw_tags(profile.tags)
            for chosen in list(profile.facts.values())[:FACTS_SHOWN]:
                self._draw_fact(chosen, view)
            self._draw_interaction(profile, view.titles)
            if not profile.judged:
                ui.label(words("profile.not_judged")).classes("quiet")
                return
            self._draw_value(profile)
            for risk in profile.risks.values():
                if risk.level != "unknown":
                    self._draw_risk(risk)

    def _draw_tags(self, tags: tuple[Tag, ...]) -> None:
        words = self._words
        if not tags:
            return
        with ui.element("div").classes("row"):
            for tag in tags:
                key = "profile.tag_until" if tag.expires_at else "profile.tag_by"
                date = f"{tag.expires_at.astimezone():%Y-%m-%d}" if tag.expires_at else ""
                why = words(key, origin=words(f"origin.{tag.origin}"), reason=tag.reason, date=date)
                with ui.element("span").tooltip(why).mark(f"tag-{tag.tag}"):
                    frame.badge(words.named("tag", tag.tag), _TAG_TONES.get(tag.origin, ""))

    def _draw_fact(self, chosen: Chosen, view: Known) -> None:
        words, fact = self._words, chosen.fact
        name = words.named("fact", fact.attribute)
        with ui.element("div").classes("row between").mark(f"fact-{fact.attribute}"):
            with ui.element("div").classes("row no-wrap"):
                ui.label(words("desk.fact", name=name, value=_shown(words, chosen))).props("dir=auto")
                if self._on_open is not None and facts.masked(fact) != fact.value:
                    show = partial(self._on_open, fact.attribute)
                    frame.icon("visibility", words("customer.open"), show).classes("tiny").mark(
                        f"open-fact:{fact.attribute}"
                    )
            if fact.identity_id in view.likely:
                with ui.element("span").tooltip(words("customer.fact_likely")):
                    frame.badge(words("badge.likely"), "warn")
            age = frame.ago(words, fact.observed_at, view.now)
            ui.label(words("profile.origin", source=words(f"source.{fact.source}"), age=age)).classes(
                "quiet small"
            )
        if chosen.conflicts:
            values = ", ".join(facts.masked(other) for other in chosen.conflicts[:3])
            ui.label(words("profile.conflict", values=values)).classes("quiet small").props("dir=auto")

    def _draw_interaction(self, profile: Profile, titles: Titles) -> None:
        words, interaction = self._words, profile.figures.interaction
        contacts, waiting = sum(interaction.contacts.values()), len(profile.figures.service.open_since)
        if contacts:
            channel = interaction.preferred_channel
            title = titles.get(channel, {}).get(words.language, channel)
            with ui.element("div").classes("row between"):
                ui.label(words("profile.contacts", n=contacts, channel=title)).classes("quiet")
                if waiting:
                    frame.badge(words("profile.open", n=waiting), "warn")
        wanted = [
            one.name if one.kind == "product" else words.intent(one.name) for one in profile.figures.interests
        ]
        if wanted:
            ui.label(" · ".join(wanted[:INTERESTS_SHOWN])).classes("quiet small").props("dir=auto")

    def _draw_value(self, profile: Profile) -> None:
        words, buying, score = self._words, profile.figures.buying, profile.score
        with ui.element("div").classes("row between").mark("value"):
            ui.label(words("profile.value"))
            if profile.tier:
                frame.badge(words(f"tier.{profile.tier}"), _TIER_TONES.get(profile.tier, ""))
        if not buying.orders:
            ui.label(words("profile.bought_nothing")).classes("quiet small")
            return
        ui.label(words("profile.bought", n=buying.orders, amount=f"{buying.amount:,.2f}")).classes(
            "quiet small"
        )
        if score is None:
            ui.label(words("profile.base_small", n=LEAST_BUYERS)).classes("quiet small")
        else:
            against = words(
                "profile.score",
                r=score.recency,
                f=score.frequency,
                m=score.monetary,
                n=profile.buyers_compared,
            )
            ui.label(against).classes("quiet small")

    def _draw_risk(self, risk: Risk) -> None:
        words = self._words
        with ui.element("div").classes("row between").mark(f"risk-{risk.kind}"):
            ui.label(words(f"risk.{risk.kind}"))
            frame.badge(
                f"{words(f'risk.{risk.level}')} {risk.probability:.0%}", _LEVEL_TONES.get(risk.level, "")
            )
        if risk.level != "low" and risk.reasons:
            ui.label(" · ".join(self._why(reason) for reason in risk.reasons)).classes("quiet small").mark(
                f"why-{risk.kind}"
            )

    def _why(self, reason: Reason) -> str:
        return self._words(f"why.{reason.feature}", value=reason.value)


def _shown(words: Words, chosen: Chosen) -> str:
    value = facts.masked(chosen.fact)
    families = {"language": words.spoken, "level": words.level}
    return families[chosen.fact.attribute](value) if chosen.fact.attribute in families else value


def _is_empty(profile: Profile) -> bool:
    interaction = profile.figures.interaction
    return not (
        profile.facts
        or profile.tags
        or interaction.contacts
        or interaction.seen
        or profile.figures.buying.orders
    )
