"""What one turn knows while it runs: small, plain, and nothing that could not stand in a checkpoint.

The nodes read and return parts of it. What outlives the turn goes into `dialogue` (the conversation's row), the
transcript and the tables of `records`; clients, prompts and people are in `context`, never here. Words of a customer
stand inside dictionaries: what is a bare string, Postgres' checkpoints keep readable.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

ANSWER = "@answer"
"""The part of a reply that `compose` finds in the knowledge base; every other part names a reply file."""

Cause = Literal["message", "proof", "approval"]


class Part(TypedDict):
    """One thing to say: a reply file with its values and choices."""

    reply: str
    values: dict[str, Any]
    options: list[Any]
    """Each with `value`, `zh`, `en`."""


class Message(TypedDict):
    text: str
    kind: str
    event: str
    """Name of a platform's event, for messages of that kind."""
    seen: str
    """What a model says to see in the customer's pictures. Data like the customer's words, and less: nobody has said it,
    so it may be searched for, and neither confirms nor fills anything."""
    problem: str
    """Why a file that the customer sent is not here."""
    network: str
    """A digest of the network address it came from, "" where a platform stands between."""


class Line(TypedDict):
    role: str
    text: str


class Carried(TypedDict):
    """Where the open task was begun, when that was in another conversation of the same person."""

    conversation: str
    channel: str
    fresh: bool
    """The customer has not been asked here yet: nothing they say can be an answer."""


class Dialogue(TypedDict, total=False):
    """What the conversation remembers between two turns."""

    form: Any
    """The open form, as `tools.forms` keeps it."""
    parked: list[Any]
    """Forms that were left for another task, the last one on top."""
    pending: dict[str, str]
    """What waits for a proof: the customer's `text`, and the `tool` that it was for."""
    approvals: list[dict[str, str]]
    """What waits for a person's decision: id, tool, order."""
    choices: list[str]
    """What the last reply offered outside a form, so that "2" means the second."""
    offered: str
    """The task that the last answer offered."""
    topic: str
    """Title of the last article given: what "and how long does that take?" is about."""
    last_order: str
    carried: Carried
    misunderstood: int
    angry: int
    language: str
    """The code of the customer's language, e.g. yue; the reply language is zh or en."""
    script: str
    queue_told: int
    """When the customer was last told their place in the queue, unix milliseconds."""


def is_fresh(dialogue: Dialogue) -> bool:
    """Has the open task just come over from another conversation?"""
    carried = dialogue.get("carried")
    return carried is not None and carried["fresh"]


class Approval(TypedDict):
    """A confirmed request that a person has to decide about."""

    id: str
    tool: str
    values: dict[str, Any]
    reason: str
    amount: str
    order_no: str


class Decision(TypedDict):
    approved: bool
    by: str
    note: str


class ReplyState(TypedDict):
    text: str
    choices: list[dict[str, str]]
    citations: list[dict[str, Any]]


def merge(before: dict[str, float] | None, new: dict[str, float]) -> dict[str, float]:
    return {**(before or {}), **new}


class TurnState(TypedDict, total=False):
    cause: Cause
    message: Message
    dialogue: Dialogue
    recent: list[Line]

    understood: dict[str, Any]
    vector: list[float]
    language: Literal["zh", "en"]
    heard: dict[str, Any]
    """The message as a form hears it: plain, acts, entities, question."""
    plan: dict[str, Any]
    passages: list[dict[str, Any]]
    answerable: float
    degraded: list[str]

    parts: list[Part]
    facts: list[str]
    tools: list[dict[str, Any]]
    approval: Approval | None
    decision: Decision | None

    reply: ReplyState
    rung: str
    """Which step of the ladder spoke: task, small_talk, model, article, clarify, notice."""
    drafted: str
    """A model's words before they were fitted, for the guard."""
    model: str
    prompts: list[str]
    handoff: str
    summary: dict[str, str]
    """Its `text`."""
    milliseconds: Annotated[dict[str, float], merge]
