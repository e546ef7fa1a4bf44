"""One thing that people may ask about their data: a card of the privacy page, drawn anew for each customer that is chosen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from operations.console import frame

D = TypeVar("D")


class Card(ABC, Generic[D]):
    """`staff`: names of colleagues by id. `on_gone` is set by the page, for a card that has erased the customer."""

    def __init__(self, visit: frame.Visit, desk: D, staff: Mapping[str, str]) -> None:
        self._visit, self._words = visit, visit.words
        self._desk = desk
        self._staff = staff
        self._customer = ""
        self.on_gone: Callable[[], None] = lambda: None

    @abstractmethod
    def draw(self) -> None:
        """Once, where it stands on the page."""

    @abstractmethod
    async def choose(self, customer: str) -> None:
        """This customer is meant from now on."""

    @abstractmethod
    def forget(self) -> None:
        """Nobody is meant any more."""

    @abstractmethod
    async def refresh(self) -> None:
        """Again and again, while the page is open."""
