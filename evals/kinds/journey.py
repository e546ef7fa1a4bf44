"""Does a whole conversation end well? A scripted customer talks to the assembled system, graders look at what happened.

Each case has a shop of its own. A case is right when every check of every step and of the end holds: one complaint fails it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from evals import forms
from evals.graders.end_state import changed_rows
from evals.graders.registry import grade
from evals.graders.seen import Rows, Seen
from evals.kinds.contract import Judge, Judged, Result, Tick
from evals.simulator import SIDE_ANSWERS, Customer
from evals.suite import Suite
from evals.world import Spoken, Stage, World


class JourneyKind:
    at_once = 1
    less_is_better: frozenset[str] = frozenset()

    def knows(self, metric: str) -> bool:
        return metric in {"pass_rate", "pass_all_trials"}

    @asynccontextmanager
    async def judge(self, suite: Suite, stage: Stage, tick: Tick) -> AsyncIterator[Judge]:
        async def judge(case: forms.Case) -> Judged:
            assert isinstance(case, forms.JourneyCase)
            async with stage.world(account=case.world.account, channel=suite.head.channel) as world:
                return await _play(case, world)

        yield judge

    def measure(self, results: Sequence[Result], suite: Suite) -> dict[str, float]:
        """`pass_all_trials`: the share of cases that passed each time they were run."""
        by_case: dict[str, list[float]] = {}
        for result in results:
            by_case.setdefault(result.case.id, []).append(result.judged.score)
        return {
            "pass_rate": sum(result.judged.score for result in results) / len(results),
            "pass_all_trials": sum(min(scores) for scores in by_case.values()) / len(by_case),
        }


@dataclass
class _Notes:
    said: list[str] = field(default_factory=list)
    spoken: list[Spoken] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)

    def seen(self, since: int, changes: Rows) -> Seen:
        """What was shown from `since` on; the intent is that of the first message there, side answers follow it."""
        steps = self.spoken[since:]
        last = steps[-1]
        return Seen(
            said="\n".join(self.said),
            reply="\n".join(step.reply for step in steps),
            intent=steps[0].intent,
            language=last.language,
            emotion=last.emotion,
            citations=tuple(citation for step in steps for citation in step.citations),
            tools=tuple(tool for step in steps for tool in step.tools),
            handoff=last.handoff,
            choices=tuple(choice for step in steps for choice in step.choices),
            changes=changes,
        )


async def _play(case: forms.JourneyCase, world: World) -> Judged:
    customer, notes, before = Customer(case), _Notes(), await world.state()
    complaints: list[str] = []
    for number, step in enumerate(customer.steps(), 1):
        since = len(notes.spoken)
        await _take(step, customer, world, notes)
        if step.expect.given:
            changes = await _changes(step.expect, before, world)
            complaints += [
                f"step {number}: {one}" for one in grade(step.expect.given, notes.seen(since, changes))
            ]
    if case.expect.given:
        changes = await _changes(case.expect, before, world)
        complaints += [f"end: {one}" for one in grade(case.expect.given, notes.seen(0, changes))]
    return Judged(
        score=float(not complaints),
        expected="all checks hold",
        got="they do" if not complaints else f"{len(complaints)} do not",
        note="\n".join(complaints),
        transcript=notes.lines,
    )


async def _take(step: forms.Turn, customer: Customer, world: World, notes: _Notes) -> None:
    if step.say is not None:
        await _say(customer.words(step.say), world, notes)
    elif step.sign_in is not None:
        _note(notes, f"(signs in as {step.sign_in})", await world.sign_in(step.sign_in))
    elif step.staff is not None:
        spoken = await world.decide(approve=step.staff.approve, note=step.staff.note)
        _note(notes, f"(staff: {'approved' if step.staff.approve else 'refused'})", spoken)
    for _ in range(SIDE_ANSWERS):
        answer = customer.answer(notes.spoken[-1].reply)
        if answer is None:
            return
        await _say(answer, world, notes)


async def _say(text: str, world: World, notes: _Notes) -> None:
    notes.said.append(text)
    _note(notes, text, await world.say(text))


def _note(notes: _Notes, action: str, spoken: Spoken) -> None:
    notes.spoken.append(spoken)
    notes.lines += [
        {"customer": action},
        {
            "bot": spoken.reply,
            "intent": spoken.intent,
            "tools": [dict(tool) for tool in spoken.tools],
            "handoff": spoken.handoff,
        },
    ]


async def _changes(expect: forms.Expect, before: Rows, world: World) -> Rows:
    return changed_rows(before, await world.state()) if expect.end_state is not None else {}
