"""The phones of simulated customers: a name has one number, and a number that has written leads back to its name."""

from __future__ import annotations

import hashlib
import re

_E164 = re.compile(r"\+?[1-9]\d{6,14}")


class Phones:
    def __init__(self) -> None:
        self._users: dict[str, str] = {}

    def national(self, user: str) -> str:
        """Mainland China, without the country's code; a name that is a number stays it."""
        if re.fullmatch(r"1[3-9]\d{9}", user):
            number = user
        else:
            digits = int(hashlib.sha256(user.encode()).hexdigest(), 16) % 10**8
            number = f"138{digits:08d}"
        self._users[number] = user
        return number

    def international(self, user: str) -> str:
        return f"+86{self.national(user)}"

    def admit(self, name: str) -> None:
        """Also reachable, though it is no number: tests write to names."""
        self._users[name] = name

    def user_of(self, number: str) -> str:
        """The number itself where nobody has written from it."""
        return self._users.get(_bare(number), self._users.get(number, number))

    def is_number(self, number: str) -> bool:
        return bool(_E164.fullmatch(number)) or number in self._users


def _bare(number: str) -> str:
    return number.removeprefix("+86")
