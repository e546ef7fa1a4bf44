"""Who asked us to stop, for all processes: written when the word comes in, asked right before each message goes out.

Only a keyed digest of the number is kept, and its value is sealed. A later wish replaces an earlier one, whichever
arrives first; without a time of its own a message counts from its arrival.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from channels.contract import Surroundings
from channels.families.sms.keywords import OPT_IN, OPT_OUT
from channels.platforms.shelf import Shelf
from foundation import errors
from foundation.clock import to_milliseconds
from foundation.messages import InboundMessage


class OptOuts:
    """Of one account. `channel` begins the code of a refusal."""

    def __init__(self, channel: str, surroundings: Surroundings) -> None:
        self._channel = channel
        self._tenant = surroundings.tenant
        self._vault = surroundings.vault
        self._clock = surroundings.clock
        self._shelf = Shelf(channel, surroundings)

    async def remember(self, messages: Sequence[InboundMessage]) -> None:
        """Repeatable."""
        for message in messages:
            if message.kind == "event" and message.event in (OPT_OUT, OPT_IN):
                await self._note(message.sender[0].value, message.event, message.sent_at)

    async def add(self, number: str) -> None:
        """The platform says that this customer has opted out there."""
        await self._note(number, OPT_OUT, self._clock())

    async def check(self, number: str) -> None:
        """Raises `UpstreamRefused` for somebody who asked us to stop."""
        if (await self._shelf.read(self._name(number))).startswith(OPT_OUT):
            raise errors.UpstreamRefused(
                "The customer has asked for no more messages; they can be reached again once they opt in.",
                code=f"{self._channel}_opted_out",
            )

    async def _note(self, number: str, event: str, at: datetime) -> None:
        name, moment = self._name(number), to_milliseconds(at)
        before = (await self._shelf.read(name)).partition(" ")[2]
        if not before or moment >= int(before):
            await self._shelf.write(name, f"{event} {moment}")

    def _name(self, number: str) -> str:
        digits = re.sub(r"\D", "", number) or number
        return f"opt_out:{self._vault.lookup_key('sms opt-out', self._tenant, digits)}"
