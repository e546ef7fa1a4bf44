"""The simulated customers of a platform: its ids for them, and until when each may be written to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(slots=True)
class People:
    """Platform ids of the simulated customers and back, and until when each may be written to."""

    platform: str
    digits: int
    prefix: str = ""
    window: timedelta = timedelta(hours=24)
    last_user: str = ""
    _names: dict[str, str] = field(default_factory=dict)
    _until: dict[str, datetime] = field(default_factory=dict)

    def id_of(self, user: str) -> str:
        """Always the same for one name."""
        number = int.from_bytes(hashlib.sha256(f"{self.platform} id of {user}".encode()).digest()[:16])
        return self.prefix + str(number).zfill(40)[-self.digits :]

    def wrote(self, user: str, at: datetime, platform_id: str = "") -> str:
        """The customer did something: the window opens anew."""
        who = platform_id or self.id_of(user)
        self.last_user = user
        self._names[who] = user
        self._until[who] = at + self.window
        return who

    def name_of(self, platform_id: str) -> str | None:
        return self._names.get(platform_id)

    def may_be_written(self, platform_id: str, now: datetime) -> bool:
        return now < self._until[platform_id]
