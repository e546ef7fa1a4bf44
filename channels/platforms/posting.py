"""What most channels whose platform posts to us do alike; an adapter that derives says only what its platform does otherwise.

Nothing to prepare, a connection to close, no check of the address, an empty answer to each call, no typing sign, no routes
of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from starlette.routing import BaseRoute

from channels.contract import Acknowledgement, Capabilities, Door, Webhook
from foundation.conversations import Conversation


class Closing(Protocol):
    async def close(self) -> None: ...


C = TypeVar("C", bound=Closing)


class Posting(Generic[C]):
    """Keeps `contract.Channel` but for `verify`, `read` and `send`; `C` is the adapter's connection."""

    name: str
    capabilities: Capabilities
    _connection: C

    async def open(self) -> None:
        """Nothing to prepare: tokens come with the first call that needs one."""
        return

    async def close(self) -> None:
        await self._connection.close()

    def handshake(self, webhook: Webhook) -> Acknowledgement | None:
        return None

    def acknowledge(self, webhook: Webhook) -> Acknowledgement:
        return Acknowledgement()

    async def show_typing(self, conversation: Conversation) -> None:
        """Nothing that the customer could see."""
        return

    def routes(self, door: Door) -> Sequence[BaseRoute]:
        return ()
