"""The customer of a journey: says the script, and answers from what they know when the bot asks in between.

Scripted, not a model: the same case gives the same words. A customer who is asked something they do not know says so
by an answer of the case, or goes on with the script, as people do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from evals import forms

SIDE_ANSWERS = 5
"""In a row; a bot that keeps asking is not helped for ever."""


class Customer:
    def __init__(self, case: forms.JourneyCase) -> None:
        self._case = case
        self._left = list(case.answers)

    def steps(self) -> Iterator[forms.Turn]:
        yield from self._case.turns

    def words(self, text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda found: self._case.known[found.group(1)], text)

    def answer(self, reply: str) -> str | None:
        """What the customer says to the bot's question; each answer is given once."""
        for answer in self._left:
            if re.search(answer.asked, reply, re.IGNORECASE):
                self._left.remove(answer)
                return self.words(answer.say)
        return None
