"""The form engine: what one message does to a half-filled form, and what has to happen next. Pure.

Called by `conduct`, which does the looking-up and the carrying-out. The promises, each a property test: the order in
which a customer gives the answers does not change the arguments; and nothing is carried out without a confirmation
that came after the last change.

A form is a plain dictionary, because it lives in the conversation's row between two messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypedDict

from agent.tools import slots as matching
from agent.tools.contract import Heard, Option, Question, Slot, Value
from agent.tools.words import Words

MISSES = 3
"""So many messages in a row that say nothing the form can use, and a person takes over."""
MENTIONS = 3
CONFIRMATION_LENGTH = 40
"""Characters; a longer "yes, and …" says something else as well and is read back again."""

Verdict = Literal["go_on", "confirmed", "cancelled", "which", "missed", "gave_up"]


class Form(TypedDict):
    tool: str
    intent: str
    values: dict[str, Value]
    options: dict[str, list[Option]]
    asked: str
    last: str
    """The slot that changed last: what "no, the other one" is about."""
    stage: Literal["filling", "confirming"]
    misses: int
    mentions: list[str]
    """What was said before the options were known: it may name one of them."""
    needs_approval: str
    amount: str
    question: Question | None


@dataclass(frozen=True, slots=True)
class Reaction:
    form: Form
    verdict: Verdict
    changed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Step:
    kind: Literal["look_up", "ask", "check"]
    slot: str = ""


def begins(tool: str, slots: Sequence[Slot], heard: Heard, *, words: Words) -> bool:
    """Does the message give something that a form of this tool would ask for?"""
    return bool(react(begin(tool), slots, heard, words=words).changed)


class About(NamedTuple):
    fills: bool
    """It gives the form something."""
    answers: bool
    """It answers the question that is open."""
    exact: bool
    """It is one of the offered options, by label or number."""


def begin(tool: str, *, intent: str = "") -> Form:
    return Form(
        tool=tool, intent=intent, values={}, options={}, asked="", last="", stage="filling", misses=0, mentions=[],
        needs_approval="", amount="", question=None,
    )  # fmt: skip


def react(form: Form, slots: Sequence[Slot], heard: Heard, *, words: Words) -> Reaction:
    """What the message means for the form. A change while confirming always takes the confirmation back."""
    after, changed = _absorb(form, slots, heard, words=words)
    if not changed and _is_cancel(heard, words):
        return Reaction(after, "cancelled")
    if changed:
        return Reaction(_moved(after), "go_on", changed)
    if form["stage"] == "confirming":
        return _answer_to_confirmation(after, slots, heard, words=words)
    if _means_another(heard, words):
        return _other_option(after, slots)
    if not form["asked"]:
        return Reaction(after, "go_on")
    return _miss(after)


def about(form: Form, slots: Sequence[Slot], heard: Heard, *, words: Words) -> About:
    """What this message would be to the form; policy asks before it takes a message for a digression."""
    reaction = react(form, slots, heard, words=words)
    waits = bool(form["asked"]) or form["stage"] == "confirming"
    fills = waits and reaction.verdict in ("go_on", "confirmed", "cancelled", "which")
    answers = fills and (
        form["asked"] in reaction.changed or form["stage"] == "confirming" or not reaction.changed
    )
    options = form["question"]["options"] if form["question"] else []
    return About(fills, answers, fills and matching.is_exact(heard.plain, options))


def next_step(form: Form, slots: Sequence[Slot]) -> Step:
    for slot in slots:
        if slot.name in form["values"] or not slot.when(form["values"]):
            continue
        if slot.offered and slot.name not in form["options"]:
            return Step("look_up", slot.name)
        return Step("ask", slot.name)
    return Step("check")


def offer(form: Form, slot: Slot, options: Sequence[Option], *, words: Words) -> Form:
    """The options of a slot became known: takes the only one, or the one that was already named."""
    after: Form = {**form, "options": {**form["options"], slot.name: list(options)}}
    if len(options) == 1:
        return _set(after, slot, [options[0]["value"]] if slot.several else options[0]["value"], slots=())
    for mention in reversed(form["mentions"]):
        found = matching.choose(mention, options, words=words, several=slot.several)
        if found:
            return _set(after, slot, found if slot.several else found[0], slots=())
    return after


def ask(form: Form, slot: str, question: Question) -> Form:
    return {**form, "asked": slot, "stage": "filling", "question": question}


def confirm(form: Form, question: Question, *, needs_approval: str, amount: str) -> Form:
    return {
        **form, "asked": "", "stage": "confirming", "question": question,
        "needs_approval": needs_approval, "amount": amount,
    }  # fmt: skip


def forget(form: Form, slot: str, slots: Sequence[Slot]) -> Form:
    """Ask again for a value that turned out wrong, and for everything that hung on it."""
    values = {name: value for name, value in form["values"].items() if name != slot}
    return _drop_dependents({**form, "values": values, "mentions": []}, slot, slots)


def begin_again(form: Form) -> Form:
    """With all its values and none of its questions asked: for one whose question the customer has not seen."""
    return _moved(form)


def _absorb(form: Form, slots: Sequence[Slot], heard: Heard, *, words: Words) -> tuple[Form, frozenset[str]]:
    after: Form = {**form, "mentions": [*form["mentions"], heard.plain][-MENTIONS:]}
    changed: set[str] = set()
    for slot in slots:
        value = _read(slot, after, heard, words=words)
        if value is None or value == after["values"].get(slot.name):
            continue
        after = _set(after, slot, value, slots=slots)
        changed.add(slot.name)
    if not changed and form["stage"] == "confirming":
        return _amend(after, slots, heard)
    return after, frozenset(changed)


def _amend(form: Form, slots: Sequence[Slot], heard: Heard) -> tuple[Form, frozenset[str]]:
    """A part of one value put right; of two values that it fits, neither."""
    amended = {
        slot.name: (slot, value)
        for slot in slots
        if slot.amend and isinstance(current := form["values"].get(slot.name), str)
        if (value := slot.amend(heard, current)) is not None
    }
    if len(amended) != 1:
        return form, frozenset()
    [(slot, value)] = amended.values()
    return _set(form, slot, value, slots=slots), frozenset({slot.name})


def _read(slot: Slot, form: Form, heard: Heard, *, words: Words) -> Value | None:
    if not slot.when(form["values"]):
        return None
    asked = form["asked"] == slot.name and form["stage"] == "filling"
    if slot.offered:
        return _read_offered(slot, form, heard, words=words)
    value = slot.read(heard) if slot.read else None
    options = form["options"].get(slot.name)
    if value is None and asked and options:
        value = next(iter(matching.choose(heard.plain, options, words=words, several=False)), None)
    if value is None and asked and slot.read_answer and not _is_cancel(heard, words):
        value = slot.read_answer(heard)
    return value


def _read_offered(slot: Slot, form: Form, heard: Heard, *, words: Words) -> Value | None:
    explicit = slot.read(heard) if slot.read else None
    if explicit is not None:
        return [explicit] if slot.several else explicit
    options = form["options"].get(slot.name)
    asked = form["asked"] == slot.name
    if not options or len(options) == 1 or (not asked and _could_be_a_number(heard.plain)):
        return None
    found = matching.choose(heard.plain, options, words=words, several=slot.several)
    if not found:
        return None
    return found if slot.several else found[0]


def _could_be_a_number(plain: str) -> bool:
    """A bare "2" answers the question that was asked and nothing else."""
    return len(plain.strip()) <= 3


def _set(form: Form, slot: Slot, value: Value, *, slots: Sequence[Slot]) -> Form:
    after: Form = {**form, "values": {**form["values"], slot.name: value}, "last": slot.name}
    return _drop_dependents(after, slot.name, slots)


def _drop_dependents(form: Form, slot: str, slots: Sequence[Slot]) -> Form:
    dependents = {other.name for other in slots if slot in other.after}
    return {
        **form,
        "values": {name: value for name, value in form["values"].items() if name not in dependents},
        "options": {name: options for name, options in form["options"].items() if name not in dependents},
    }


def _moved(form: Form) -> Form:
    return {**form, "stage": "filling", "asked": "", "misses": 0, "needs_approval": "", "amount": ""}


def _answer_to_confirmation(form: Form, slots: Sequence[Slot], heard: Heard, *, words: Words) -> Reaction:
    """Nothing changed. Yes, no, "the phone is wrong", or nothing of use."""
    if _means_another(heard, words):
        return _other_option(form, slots)
    named = next((slot for slot in slots if slot.named and slot.named.search(heard.plain)), None)
    if named is not None and words.change.search(heard.plain) and named.name in form["values"]:
        return Reaction(_moved(forget(form, named.name, slots)), "go_on", frozenset({named.name}))
    if is_affirm(heard, words):
        return Reaction(form, "confirmed")
    refuses = (
        words.deny.search(heard.plain)
        or heard.acts & {"deny", "correction"}
        or words.change.search(heard.plain)
    )
    if refuses and not heard.question:
        return Reaction({**form, "misses": 0}, "which")
    return _miss(form)


def is_affirm(heard: Heard, words: Words) -> bool:
    """Strict, because what follows cannot be undone: short, no question in it, nothing else heard."""
    if (
        heard.question
        or heard.acts & {"deny", "cancel", "correction"}
        or len(heard.plain) > CONFIRMATION_LENGTH
    ):
        return False
    plain = heard.plain.strip()
    if words.deny.search(plain) or words.cancel.search(plain) or words.change.search(plain):
        return False
    return bool(words.affirm.search(plain)) or "affirm" in heard.acts


def _is_cancel(heard: Heard, words: Words) -> bool:
    return not heard.question and ("cancel" in heard.acts or bool(words.cancel.search(heard.plain.strip())))


def _means_another(heard: Heard, words: Words) -> bool:
    return not heard.question and bool(words.other.search(heard.plain))


def _other_option(form: Form, slots: Sequence[Slot]) -> Reaction:
    """ "No, the other one": with two on offer that is an answer, with more it is asked again."""
    slot = next((slot for slot in slots if slot.name == form["last"] and slot.offered), None)
    slot = slot or next((slot for slot in slots if slot.offered and slot.name in form["values"]), None)
    if slot is None:
        return _miss(form)
    current = form["values"].get(slot.name, [])
    left = [
        option["value"] for option in form["options"].get(slot.name, []) if option["value"] not in current
    ]
    if len(left) == 1:
        value: Value = left if slot.several else left[0]
        return Reaction(_moved(_set(form, slot, value, slots=slots)), "go_on", frozenset({slot.name}))
    return Reaction(_moved(forget(form, slot.name, slots)), "go_on", frozenset({slot.name}))


def _miss(form: Form) -> Reaction:
    misses = form["misses"] + 1
    return Reaction({**form, "misses": misses}, "gave_up" if misses >= MISSES else "missed")
