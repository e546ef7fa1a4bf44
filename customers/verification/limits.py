"""How many codes may be asked for, and when guessing stops them for the whole tenant. Pure.

Limits of one number do not help against guesses that are spread over a hundred thousand numbers, so a session, an address
and the tenant are counted as well. The numbers are those of the design report, section 5.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

WINDOW = timedelta(days=1)
PER_CONTACT = 5
PER_SESSION = 3
PER_NETWORK = 50
"""Of one public network address, where it is known; a mobile carrier puts many people behind one."""
FAILURE_WINDOW = timedelta(hours=1)
FAILURES = 50
"""Wrong answers of a tenant's customers in one window below which nothing is concluded."""
FAILURES_PER_SUCCESS = 4
"""People mistype one code in ten; who guesses is wrong nearly always."""
STOPPED_FOR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Asked:
    """How many challenges there were in the window before this one."""

    by_contact: int
    by_session: int
    by_network: int


@dataclass(frozen=True, slots=True)
class Answers:
    wrong: int
    right: int


def reason_against(asked: Asked) -> str:
    """Which limit is used up, "" when none is."""
    if asked.by_session >= PER_SESSION:
        return "session_limit"
    if asked.by_contact >= PER_CONTACT:
        return "contact_limit"
    return "network_limit" if asked.by_network >= PER_NETWORK else ""


def is_attack(answers: Answers) -> bool:
    return answers.wrong >= FAILURES and answers.wrong >= FAILURES_PER_SUCCESS * max(1, answers.right)
