"""A language model that says what a test or an evaluation wrote down; it keeps the whole contract.

`ScriptedModel(["first answer", UpstreamUnavailable("down")])` gives one entry a call; `ScriptedModel(callable)` decides
by the lines. An entry that is an exception is raised. What it was asked is kept in `calls`, so a test can look at
what a model would have seen.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel

from foundation import errors
from foundation.language_models import spending, structured
from foundation.language_models.contract import Completion, Line, Recording, Usage

M = TypeVar("M", bound=BaseModel)

Entry = str | errors.ServiceError
Script = Callable[[Sequence[Line]], Entry]


@dataclass(frozen=True, slots=True)
class Call:
    prompt: str
    lines: tuple[Line, ...]


class ScriptedModel:
    def __init__(self, answers: Sequence[Entry] | Script, *, name: str = "scripted") -> None:
        self.name = name
        self.calls: list[Call] = []
        self._script = answers if callable(answers) else _in_turn(answers)

    async def complete(self, lines: Sequence[Line], *, prompt: str, max_tokens: int = 600) -> Completion:
        text = self._next(lines, prompt)
        return Completion(text, self._usage(lines, text))

    async def extract(self, lines: Sequence[Line], *, prompt: str, form: type[M]) -> tuple[M, Usage]:
        text = self._next(lines, prompt)
        try:
            return structured.parse(text, form), self._usage(lines, text)
        except structured.NotTheForm as fault:
            repair = structured.with_repair(lines, text, fault.faults)
        text = self._next(repair, prompt)
        try:
            return structured.parse(text, form), self._usage(repair, text)
        except structured.NotTheForm as fault:
            raise structured.refused() from fault

    async def stream(
        self, lines: Sequence[Line], *, prompt: str, max_tokens: int = 600
    ) -> AsyncIterator[str]:
        text = self._next(lines, prompt)
        for start in range(0, len(text), 4):
            yield text[start : start + 4]

    def _next(self, lines: Sequence[Line], prompt: str) -> str:
        self.calls.append(Call(prompt, tuple(lines)))
        entry = self._script(lines)
        if isinstance(entry, errors.ServiceError):
            raise entry
        return entry

    def _usage(self, lines: Sequence[Line], text: str) -> Usage:
        read = sum(spending.estimated_tokens(line.text) for line in lines)
        return Usage(self.name, read, spending.estimated_tokens(text), 0.0)


def _in_turn(answers: Sequence[Entry]) -> Script:
    left = iter(answers)

    def give(_lines: Sequence[Line]) -> Entry:
        return next(left, errors.UpstreamUnavailable("The script has no more answers.", code="script_over"))

    return give


class ScriptedSpeech:
    """`heard` is what it was played."""

    name = "scripted"

    def __init__(self, answers: Sequence[Entry]) -> None:
        self.heard: list[Recording] = []
        self._script = _in_turn(answers)

    async def transcribe(self, recording: Recording) -> Completion:
        self.heard.append(recording)
        entry = self._script(())
        if isinstance(entry, errors.ServiceError):
            raise entry
        return Completion(entry, Usage(self.name, 0, spending.estimated_tokens(entry), 0.0))
