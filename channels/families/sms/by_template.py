"""SMS in mainland China: a secret address in, an approved template out; what its carriers have in common.

A carrier signs nothing, so the address is the secret. Nothing but approved templates can be sent, so a reply goes into the
one variable of a template and is cut to it, aloud.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from channels.contract import Capabilities, Part, Surroundings, Webhook
from channels.families.sms.opt_outs import OptOuts
from channels.families.sms.paths import admit
from channels.families.sms.templates import fill
from channels.platforms.posting import C, Posting
from foundation import errors
from foundation.messages import InboundMessage

log = structlog.get_logger(__name__)


class ByTemplate(Posting[C]):
    """`paths`: the secrets of the address, the current one first. `limit`: characters of the variable; `messages`: SMS that
    one reply may take."""

    def __init__(
        self, surroundings: Surroundings, connection: C, *, paths: Sequence[str], limit: int, messages: int
    ) -> None:
        self._surroundings = surroundings
        self._connection = connection
        self._opt_outs = OptOuts(self.name, surroundings)
        self._paths = paths
        self._limit = limit
        self._messages = messages
        self.capabilities = Capabilities(text_limit=limit, repeats="ask", acknowledge_unreadable=True)

    @property
    def address(self) -> str:
        return self._surroundings.secret_hook(self.name, self._paths[0])

    def verify(self, webhook: Webhook) -> None:
        admit(webhook, self._paths)

    async def remember(self, messages: Sequence[InboundMessage]) -> None:
        await self._opt_outs.remember(messages)

    async def _variable(self, part: Part) -> str:
        """What the template's variable says; "" for a part behind the last message that one reply may take. Raises
        `UnsupportedContent`, `UpstreamRefused` for somebody who opted out."""
        if not part.text.strip():
            raise errors.UnsupportedContent("An SMS cannot be empty.", code=f"{self.name}_empty")
        await self._opt_outs.check(part.message.recipient)
        text = fill(part, limit=self._limit, messages=self._messages)
        if not text:
            log.info("rest of a reply not sent", channel=self.name, part=part.index + 1, parts=part.count)
        return text
