"""A signature that does not cover the body is bound to the first message it came with: a memory of this process.

For gates of platforms that sign only time and nonce. The platform repeats a delivery with the same pair and the same
message, which passes; the same pair with another message is a replay.
"""

from __future__ import annotations

from channels.platforms import signatures
from foundation.security import equal

REMEMBERED = 100_000


class Replays:
    def __init__(self, *, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._seen: dict[tuple[str, ...], tuple[float, str]] = {}

    def check(self, pair: tuple[str, ...], message: str, *, now: float, until: float) -> None:
        """`until`: Unix seconds after which the time itself is refused. Raises `NotAuthentic` with code replayed."""
        self._forget(now)
        _, first = self._seen.setdefault(pair, (until, message))
        signatures.require(
            equal(first, message),
            "This signature has already been used for another message.",
            code="replayed",
        )

    def _forget(self, now: float) -> None:
        while self._seen:
            oldest = next(iter(self._seen))
            if self._seen[oldest][0] >= now and len(self._seen) < self._limit:
                return
            del self._seen[oldest]
