"""What happened, in past tense: the payloads that travel on the bus. `service/handlers.py` says who hears what.

Each event names its lane (the unit of strict order) where it is published. A changed meaning is a new `version`;
readers accept the versions they know and everything else is buried as a dead letter, never guessed at.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from foundation.messages import (
    ConversationId,
    Frozen,
    InboundMessage,
    Observation,
    OutboundMessage,
    TenantId,
)


class Event(Frozen):
    name: ClassVar[str]
    version: Literal[1] = 1
    tenant: TenantId


class MessageReceived(Event):
    """Intake accepted a message; lane: the conversation; heard by the agent."""

    name = "MessageReceived"
    conversation_id: ConversationId
    message: InboundMessage
    seq: int
    """Place of the message in the conversation's transcript."""


class MessageForHuman(Event):
    """A message arrived while a person holds the conversation, or waits in the queue; heard by the desk."""

    name = "MessageForHuman"
    conversation_id: ConversationId
    seq: int


class HandoffRequested(Event):
    """The agent could not or should not go on; the conversation waits in the queue; heard by the desk."""

    name = "HandoffRequested"
    conversation_id: ConversationId
    reason: str


class ApprovalRequested(Event):
    """A turn is suspended until a person decides about an exception; heard by the desk."""

    name = "ApprovalRequested"
    conversation_id: ConversationId
    approval_id: str


class ApprovalDecided(Event):
    """Staff decided; lane: the conversation; heard by the agent, which resumes the suspended turn."""

    name = "ApprovalDecided"
    conversation_id: ConversationId
    approval_id: str


class StaffReplied(Event):
    """A person wrote to the customer; lane: the conversation; turned into an outgoing reply."""

    name = "StaffReplied"
    conversation_id: ConversationId
    outbound: OutboundMessage


class ReplyRedirected(Event):
    """A reply that its own channel could not take was written into another conversation of the same person; lane: that
    conversation; turned into an outgoing reply."""

    name = "ReplyRedirected"
    conversation_id: ConversationId
    outbound: OutboundMessage


class ConversationReturned(Event):
    """A person gave the conversation back to the bot; lane: the conversation; heard by the agent."""

    name = "ConversationReturned"
    conversation_id: ConversationId


class IdentityProven(Event):
    """The customer of this conversation has proven an account; lane: the conversation; heard by the agent,
    which goes on with what had to wait for the proof."""

    name = "IdentityProven"
    conversation_id: ConversationId


class CodeWanted(Event):
    """Somebody has named a contact to be sent a one-time code; lane: the codes of the conversation, apart from its messages.
    Heard by the customers' side, which decides whether one is sent and tells nobody."""

    name = "CodeWanted"
    challenge_id: str


class CustomersDivided(Event):
    """Staff have split a customer, kept two apart, or taken such a step back; lane: the operation's own; heard by the agent,
    which looks whether a task had moved between the two."""

    name = "CustomersDivided"
    operation: int


class ConversationDivided(Event):
    """What this conversation may have taken over from another one is another customer's since a split; lane: the
    conversation; heard by the agent, which gives it back and writes the summary for staff anew."""

    name = "ConversationDivided"
    conversation_id: ConversationId


class BehaviourObserved(Event):
    """What a customer did on the shop's pages; starts no turn. Lane: the conversation's behaviour, apart from its messages,
    so that neither waits for the other. Heard by the customers' side, which keeps it for the desk."""

    name = "BehaviourObserved"
    conversation_id: ConversationId
    observations: tuple[Observation, ...]


class ArticlePublished(Event):
    """A version was published; lane: the knowledge base of the tenant; heard by ingestion."""

    name = "ArticlePublished"
    article: str
    language: str
    article_version: int


class ArticleIndexed(Event):
    """The version is what searches see from now on; heard by ingestion, which removes the old passages."""

    name = "ArticleIndexed"
    article: str
    language: str
    article_version: int
    milliseconds: float


class ReplyFailed(Event):
    """A channel refused a reply for good, or all attempts failed; heard by the desk."""

    name = "ReplyFailed"
    conversation_id: ConversationId
    message_id: str
    code: str


EVENTS: dict[str, type[Event]] = {
    event.name: event
    for event in (
        MessageReceived,
        MessageForHuman,
        HandoffRequested,
        ApprovalRequested,
        ApprovalDecided,
        StaffReplied,
        ReplyRedirected,
        ConversationReturned,
        IdentityProven,
        CodeWanted,
        CustomersDivided,
        ConversationDivided,
        BehaviourObserved,
        ArticlePublished,
        ArticleIndexed,
        ReplyFailed,
    )
}
