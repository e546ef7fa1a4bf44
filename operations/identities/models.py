"""The matching models as managers handle them: what there is, learn another, make one live, go back. Each is in the audit.

The API and the command line call it; the night learns by itself (`customers/linking/training.py`).
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from customers.linking.training import Training, Version
from customers.matching.models import Model
from foundation import errors
from foundation.clock import Clock
from foundation.storage.database import Database
from operations import audit, reasons
from operations.staff import Member

LARGEST_VERSION = 1_000_000_000


class ModelDesk:
    def __init__(self, database: Database, training: Training, *, clock: Clock) -> None:
        self._database = database
        self._training = training
        self._clock = clock

    async def versions(self, by: Member) -> list[Version]:
        by.require("customers.edit")
        return await self._database.read(lambda c: self._training.versions(c, by.tenant))

    async def learn(self, by: Member) -> Version:
        """Takes seconds to minutes. The new version is not live. Raises `InvalidInput` where there is too little to learn from."""
        by.require("customers.edit")
        learned = await self._training.learn(by.tenant, actor=by.id)
        detail = {"records": learned.verdict.records if learned.verdict else 0}
        await self._database.write(lambda c: self._audit(c, by, "matching.learned", learned.number, detail))
        return learned

    async def make_live(self, by: Member, number: int | None, *, reason: str) -> None:
        """None: the model that we ship, which asks and never links. Raises `NotFound`, `InvalidInput` (`model_refused`,
        `reason_missing`)."""
        by.require("customers.edit")
        reason = reasons.given(reason)
        if number is not None and not 0 < number < LARGEST_VERSION:
            raise errors.NotFound("There is no matching model of this version.", code="no_such_model")

        def write(connection: sa.Connection) -> tuple[Model, Model]:
            models = self._training.switch(connection, by.tenant, number)
            self._audit(connection, by, "matching.published", number, {"reason": reason})
            return models

        await self._training.follow(by.tenant, *await self._database.write(write))

    def _audit(
        self, connection: sa.Connection, by: Member, action: str, number: int | None, detail: dict[str, Any]
    ) -> None:
        subject = "start" if number is None else str(number)
        audit.write(
            connection,
            by.tenant,
            actor=by.id,
            action=action,
            subject=subject,
            now=self._clock(),
            detail=detail,
        )
