"""Who may run now, in memory: lanes that are ready, in backoff, or held under a lease. Pure; names only, no payloads.

`embedded.py` keeps one for entries and one for replies; every call comes from the event loop. Times are unix
milliseconds. The surprise: leases end only when somebody claims, so a holder that was merely slow and that nobody
overtook still owns its lane.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Claim:
    lane: str
    fence: int
    lease_until: int


@dataclass(slots=True)
class _Lane:
    ready_at: int
    fence: int = 0
    lease_until: int = 0
    committing: bool = False
    more: bool = False
    """Work arrived while the lane was held."""


class Schedule:
    def __init__(self, fences: Iterator[int], lease_milliseconds: int) -> None:
        self._fences = fences
        self._lease = lease_milliseconds
        self._lanes: dict[str, _Lane] = {}
        self._held: dict[str, _Lane] = {}
        self._ready: deque[str] = deque()
        self._later: list[tuple[int, str]] = []

    def add(self, lane: str, ready_at: int, now: int) -> None:
        """There is work. A lane that is known keeps its place, its backoff or its holder."""
        known = self._lanes.get(lane)
        if known is None:
            self._enqueue(lane, _Lane(ready_at), now)
        elif known.fence:
            known.more = True

    def claim(self, limit: int, now: int) -> list[Claim]:
        """Oldest first. Each claim gets a fence that no other claim ever had."""
        self._end_leases(now)
        self.ripen(now)
        claims: list[Claim] = []
        while self._ready and len(claims) < limit:
            name = self._ready.popleft()
            lane = self._held[name] = self._lanes[name]
            lane.fence, lane.lease_until, lane.more = next(self._fences), now + self._lease, False
            claims.append(Claim(name, lane.fence, lane.lease_until))
        return claims

    def extend(self, lane: str, fence: int, now: int) -> bool:
        held = self._holding(lane, fence)
        if held is not None:
            held.lease_until = now + self._lease
        return held is not None

    def begin_commit(self, lane: str, fence: int) -> bool:
        """From here to `release` or `abort_commit` the lease cannot end. False: somebody else holds the lane."""
        held = self._holding(lane, fence)
        if held is None or held.committing:
            return False
        held.committing = True
        return True

    def abort_commit(self, lane: str, fence: int) -> None:
        held = self._holding(lane, fence)
        if held is not None:
            held.committing = False

    def release(self, lane: str, fence: int, ready_at: int | None, now: int) -> None:
        """`ready_at` None: nothing is left, as far as the database knew."""
        held = self._holding(lane, fence)
        if held is None:
            return
        del self._held[lane], self._lanes[lane]
        if ready_at is not None or held.more:
            self._enqueue(lane, _Lane(now if ready_at is None else ready_at), now)

    def ripen(self, now: int) -> bool:
        """Move what has waited long enough to the ready ones; True when there was any."""
        ripe = False
        while self._later and self._later[0][0] <= now:
            ripe = True
            self._ready.append(heapq.heappop(self._later)[1])
        return ripe

    def next_at(self) -> int | None:
        """When the next backoff ends."""
        return self._later[0][0] if self._later else None

    @property
    def held(self) -> int:
        return len(self._held)

    def _enqueue(self, name: str, lane: _Lane, now: int) -> None:
        self._lanes[name] = lane
        if lane.ready_at <= now:
            self._ready.append(name)
        else:
            heapq.heappush(self._later, (lane.ready_at, name))

    def _holding(self, name: str, fence: int) -> _Lane | None:
        lane = self._held.get(name)
        return lane if lane is not None and lane.fence == fence else None

    def _end_leases(self, now: int) -> None:
        ended = [name for name, lane in self._held.items() if lane.lease_until <= now and not lane.committing]
        for name in ended:
            self._held.pop(name).fence = 0
            self._ready.appendleft(name)
