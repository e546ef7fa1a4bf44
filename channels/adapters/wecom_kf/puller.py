"""Fetches the messages of customer service accounts: every item of every page, from where the last look ended.

The callback rings, which wakes the next look at once; a slow poll finds what a lost callback left. The place that was
reached is stored after each page, and only when the door holds all of it: a crash at any point repeats a page at worst,
and the door knows repetitions by their ids. Several processes may pull the same account for the same reason.
"""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from channels.adapters.wecom_kf import codec
from channels.adapters.wecom_kf.codec import Bell, Place
from channels.adapters.wecom_kf.connection import Connection, Page
from channels.adapters.wecom_kf.settings import NAME
from channels.contract import Door
from channels.platforms.shelf import Shelf
from foundation import errors
from foundation.clock import Clock

log = structlog.get_logger(__name__)

AGAIN_SECONDS = 5.0
"""After a look that failed for the moment, unless the platform names a time."""
BELL_EXPIRED = f"{NAME}_bell_expired"


class Puller:
    """`accounts`: those to serve; empty for all, which are asked for."""

    def __init__(
        self, connection: Connection, shelf: Shelf, place: Place, *, accounts: tuple[str, ...],
        poll_seconds: float, clock: Clock,
    ) -> None:  # fmt: skip
        self._connection = connection
        self._shelf = shelf
        self._place = place
        self._chosen = frozenset(accounts)
        self._known = set(accounts)
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._bells: dict[str, str] = {}
        self._rung = asyncio.Event()
        self._problem = ""

    def ring(self, bell: Bell) -> None:
        if self._chosen and bell.open_kfid not in self._chosen:
            return
        self._bells[bell.open_kfid] = bell.token
        self._rung.set()

    async def run(self, door: Door) -> None:
        """Until it is cancelled."""
        while True:
            pause = await self.look(door)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._rung.wait()

    async def look(self, door: Door) -> float:
        """Once through all accounts; returns after how many seconds to look again without a bell."""
        self._rung.clear()
        bells, self._bells = self._bells, {}
        pause, problem = self._poll_seconds, ""
        for open_kfid in sorted({*await self._accounts(), *bells}):
            try:
                await self._drain(door, open_kfid, bells.get(open_kfid, ""))
            except (errors.ServiceError, OSError, TimeoutError) as error:
                problem = getattr(error, "code", type(error).__name__)
                if open_kfid in bells:
                    self._bells.setdefault(open_kfid, bells[open_kfid])
                if errors.is_temporary(error):
                    wait = getattr(error, "retry_after_seconds", None) or AGAIN_SECONDS
                    pause = min(pause, max(wait, 1.0))
        self._note(problem)
        return pause

    async def _accounts(self) -> set[str]:
        if not self._chosen and not self._known:
            try:
                self._known = set(await self._connection.accounts())
            except errors.ServiceError as error:
                log.warning("wecom_kf cannot list its accounts", code=error.code)
        return self._known

    async def _drain(self, door: Door, open_kfid: str, token: str) -> None:
        self._known.add(open_kfid)
        name = f"cursor:{open_kfid}"
        cursor = await self._shelf.read(name)
        while True:
            page = await self._page(open_kfid, cursor, token)
            for item in page.items:
                await self._accept(door, item)
            stands = page.next_cursor in ("", cursor)
            if not stands:
                cursor = page.next_cursor
                await self._shelf.write(name, cursor)
            if not page.more or stands:
                return

    async def _page(self, open_kfid: str, cursor: str, token: str) -> Page:
        """A token that has grown old while the platform or we were away is left out."""
        try:
            return await self._connection.sync(open_kfid, cursor, token)
        except errors.UpstreamRefused as error:
            if not token or error.code != BELL_EXPIRED:
                raise
        return await self._connection.sync(open_kfid, cursor, "")

    async def _accept(self, door: Door, item: object) -> None:
        """One item that cannot be read does not hold up the others."""
        if failure := codec.send_failure(item):
            log.warning("wecom_kf could not deliver a message", reason=failure.code)
            await door.report(self._place.tenant, NAME, failure)
        try:
            message = codec.read_item(item, self._place, received_at=self._clock())
            if message is not None:
                await door.accept(message, codec.raw(item))
        except errors.InvalidInput as error:
            log.warning("wecom_kf left an item out", code=error.code)

    def _note(self, problem: str) -> None:
        """One line when looking starts to fail and one when it works again."""
        if problem and not self._problem:
            note = log.info if self._connection.is_played else log.warning
            note("wecom_kf cannot fetch messages", code=problem)
        elif self._problem and not problem:
            log.info("wecom_kf fetches messages again")
        self._problem = problem
