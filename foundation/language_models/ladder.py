"""The configured models in order of preference, each with its recent failures: whom to ask next, and what to raise.

`litellm_router` walks it for each call. A model that failed is left out for a while, so that one dead provider costs
each customer nothing; the time comes from the injected clock. Litellm has fallbacks and cool-downs of its own, which
are switched off: they end at the first byte of a stream and know nothing of our budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from foundation import errors
from foundation.clock import Clock
from foundation.settings import ModelChoice

FAILURES_IN_A_ROW = 2
"""One failure is a hiccup; two in a row leave the model out."""
OUT_AFTER_FAILURES = timedelta(seconds=30)
OUT_AFTER_REFUSED_KEY = timedelta(minutes=10)
"""A wrong key is mended by a person, not by waiting."""

REFUSED_KEY = "model_refused_key"
BUSY = "model_busy"


@dataclass
class Rung:
    """One model; `place` is its name in litellm's list."""

    place: str
    choice: ModelChoice
    failures: int = 0
    out_until: datetime | None = None
    last_failure: errors.UpstreamError | None = None


class Ladder:
    def __init__(self, models: Sequence[ModelChoice], clock: Clock) -> None:
        if not models:
            raise errors.ConfigurationError(
                "Name at least one model in HUILIU_MODELS, or work without the router."
            )
        self.rungs = [Rung(str(place), choice) for place, choice in enumerate(models)]
        self._clock = clock

    def is_out(self, rung: Rung) -> bool:
        return rung.out_until is not None and self._clock() < rung.out_until

    def worked(self, rung: Rung) -> None:
        rung.failures, rung.out_until, rung.last_failure = 0, None, None

    def failed(self, rung: Rung, failure: errors.UpstreamError) -> None:
        """A request that this model will not take (too long) says nothing about its health and is not counted."""
        if failure.code == REFUSED_KEY:
            self._leave_out(rung, failure, OUT_AFTER_REFUSED_KEY)
        elif failure.code == BUSY:
            asked = failure.retry_after_seconds
            self._leave_out(rung, failure, OUT_AFTER_FAILURES if asked is None else timedelta(seconds=asked))
        elif isinstance(failure, errors.UpstreamUnavailable):
            rung.failures += 1
            if rung.failures >= FAILURES_IN_A_ROW:
                self._leave_out(rung, failure, OUT_AFTER_FAILURES)

    def seconds_until_next(self) -> float:
        """When the first model that is out comes back; 1 when none is out."""
        waits = [(rung.out_until - self._clock()).total_seconds() for rung in self.rungs if rung.out_until]
        return max(1.0, min(waits, default=1.0))

    def _leave_out(self, rung: Rung, failure: errors.UpstreamError, period: timedelta) -> None:
        rung.out_until, rung.last_failure = self._clock() + period, failure


def verdict(
    failures: Sequence[errors.UpstreamError],
    over_budget: errors.Exhausted | None,
    *,
    retry_after_seconds: float,
) -> errors.ServiceError:
    """What a whole walk without an answer means for the caller: worth another try, no money left, or never."""
    if any(isinstance(failure, errors.UpstreamUnavailable) for failure in failures):
        return errors.UpstreamUnavailable(
            "No language model answers at the moment.",
            code="models_unavailable",
            retry_after_seconds=retry_after_seconds,
        )
    if over_budget is not None:
        return over_budget
    reason = failures[-1]
    return errors.UpstreamRefused(reason.public_text, code=reason.code)
