"""What staff see of identities and do to them, in one piece for whoever shows it: the console's pages and the API's routes."""

from __future__ import annotations

from dataclasses import dataclass

from operations.identities.desk import IdentityDesk
from operations.identities.models import ModelDesk
from operations.identities.names import Names
from operations.identities.person import PersonReading
from operations.identities.reviews import Reviews


@dataclass(frozen=True, slots=True)
class Identities:
    reading: PersonReading
    desk: IdentityDesk
    names: Names
    reviews: Reviews
    models: ModelDesk
