"""The promise of a source: everything readable as documents with stable ids, everything else named as a problem.

Called by `ingestion.import_source`. Two readings of an unchanged source are equal; one broken item never hides the
others, and never makes them look removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from retrieval.front_matter import Document


@dataclass(frozen=True, slots=True)
class Problem:
    """`place` names the item, `sentence` says what is wrong and what mends it."""

    place: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """`is_complete`: what is not among the documents is no longer there. False when anything could not be read."""

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]
    is_complete: bool


class Source(Protocol):
    @property
    def name(self) -> str:
        """Stays the same over runs; articles remember it, so two sources never remove each other's."""

    async def read(self) -> Delivery:
        """Raises `InvalidInput` when there is no such source at all."""
