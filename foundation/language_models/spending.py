"""What model calls cost by the configured prices, and the budget of a day that they may not exceed.

Kept by `litellm_router`. The most a call can cost is set aside before it starts and the rest given back after it, so
that calls at the same time cannot exceed the budget together. The days are UTC; the count lives in this process: a
restart begins a new one, and several processes have one each.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

from foundation import errors
from foundation.clock import Clock
from foundation.language_models.contract import Line
from foundation.settings import ModelChoice

BYTES_A_TOKEN = 3
"""A usual token of Chinese or English text, where the provider reports no count (a stream that was left)."""

PICTURE_TOKENS = 50_000
"""More than any provider in use counts for one picture; what it really was is booked afterwards."""
BYTES_A_SECOND = 600
"""Of the thinnest voice codec that a messenger sends (AMR at 4.75 kbit/s)."""
SPEECH_TOKENS_A_SECOND = 10


def cost(choice: ModelChoice, input_tokens: int, output_tokens: int) -> float:
    return input_tokens * choice.input_price + output_tokens * choice.output_price


def most(choice: ModelChoice, lines: Sequence[Line], max_tokens: int) -> float:
    """No tokenizer in use makes more tokens than a text has bytes."""
    size = sum(len(line.text.encode()) + 8 for line in lines)
    pictures = sum(line.picture is not None for line in lines)
    return cost(choice, size + pictures * PICTURE_TOKENS, max_tokens)


def most_for_speech(choice: ModelChoice, size: int) -> float:
    """Of a recording of so many bytes, whether the service counts tokens or seconds."""
    seconds = size / BYTES_A_SECOND
    return cost(choice, round(seconds * SPEECH_TOKENS_A_SECOND), round(seconds * SPEECH_TOKENS_A_SECOND))


def estimated_tokens(text: str) -> int:
    return -(-len(text.encode()) // BYTES_A_TOKEN)


class Budget:
    """`per_day` of 0 is no limit."""

    def __init__(self, per_day: float, clock: Clock) -> None:
        self._per_day = per_day
        self._clock = clock
        self._day: date | None = None
        self._spent = 0.0

    @property
    def spent(self) -> float:
        """Today, what is set aside included."""
        self._turn_page()
        return self._spent

    def set_aside(self, amount: float) -> Reserve:
        """Raises `Exhausted` when it does not fit into what is left of the day; a free model always fits."""
        self._turn_page()
        if self._per_day and amount and self._spent + amount > self._per_day:
            raise errors.Exhausted(
                "The budget for language models is used up for today.",
                code="model_budget",
                retry_after_seconds=self._seconds_left(),
            )
        self._spent += amount
        return Reserve(self, amount, self._clock().date())

    def book(self, day: date, change: float) -> None:
        self._turn_page()
        if day == self._day:
            self._spent += change

    def _turn_page(self) -> None:
        today = self._clock().date()
        if today != self._day:
            self._day, self._spent = today, 0.0

    def _seconds_left(self) -> float:
        now = self._clock()
        tomorrow = datetime.combine(now.date() + timedelta(days=1), time.min, tzinfo=now.tzinfo)
        return (tomorrow - now).total_seconds()


class Reserve:
    """Settle it exactly once a call; settling again changes nothing."""

    def __init__(self, budget: Budget, amount: float, day: date) -> None:
        self._budget = budget
        self._amount: float | None = amount
        self._day = day

    def settle(self, real: float) -> None:
        if self._amount is not None:
            self._budget.book(self._day, real - self._amount)
            self._amount = None
