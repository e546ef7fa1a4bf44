"""How many wrong passwords one address may send: the console's entrance and the staff's API each ask it.

Right passwords cost nothing, so an office behind one address is not held up. Counted in this process only; what holds
everywhere is the lock on the account.
"""

from __future__ import annotations

import limits
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from foundation import errors

WRONG_A_MINUTE = 10


class LogInLimit:
    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._rate = limits.RateLimitItemPerMinute(WRONG_A_MINUTE)

    async def check(self, address: str) -> None:
        """Raises `Exhausted`."""
        if not await self._limiter.test(self._rate, address):
            raise errors.Exhausted(
                "Too many log-ins failed from here; wait a minute.", code="log_ins", retry_after_seconds=60
            )

    async def count_wrong(self, address: str) -> None:
        await self._limiter.hit(self._rate, address)
