"""What the chat may do with the data of its own customer; `wiring` hands it to the tools, bound to one conversation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from channels.registry import CHANNELS
from customers import about
from customers.directory import Directory
from customers.privacy.consents import Consents
from customers.proof.levels import Allowed, decide
from foundation import errors
from foundation.messages import ConversationId, TenantId
from foundation.storage.database import Database

TITLES = {spec.name: spec.called or spec.title for spec in CHANNELS}


@dataclass(frozen=True, slots=True)
class OwnDataOf:
    database: Database
    directory: Directory
    consents: Consents
    tenant: TenantId
    conversation_id: ConversationId

    async def state(self, purpose: str, state: str) -> bool:
        """On the account that is proven here, else on the name that came in. Raises `NotPermitted` below the level for it, which
        the dialogue has asked for already."""

        def write(connection: sa.Connection) -> bool:
            person = self.directory.person(connection, self.tenant, self.conversation_id)
            action = "preferences" if state == "granted" else "preferences_here"
            if not isinstance(decide(action, person.standing), Allowed):
                raise errors.NotPermitted("This needs a proof first.", code="needs_level")
            chosen = self.directory.speaks_for(connection, self.tenant, self.conversation_id)
            after = self.consents.state(connection, self.tenant, chosen, purpose, state, source="chat")
            return after.may(purpose)

        return await self.database.write(write)

    async def about(self, language: str) -> Mapping[str, Any]:
        found = await self.database.read(
            lambda c: about.read(c, self.directory, self.consents, self.tenant, self.conversation_id)
        )
        return {
            "since": f"{found.since:%Y-%m-%d}",
            "channels": [
                {"name": TITLES.get(name, {}).get(language, name), "talks": talks}
                for name, talks in found.channels.items()
            ],
            "orders": found.orders,
            "contacts": None if found.contacts is None else list(found.contacts),
            "stated": list(found.stated),
            "uses": [name for name, allowed in found.uses.items() if allowed],
            "refused": [name for name, allowed in found.uses.items() if not allowed],
        }  # fmt: skip
