"""Asks for a one-time code when a task needs more proof than there is: which contact, then the six digits, then the task goes on.

A form like any other, so that a question in between is answered and asked back from; `nodes/act.py` begins it and gives it
each message. What is right comes back by itself: the proof is an event of the conversation, and that turn goes on with the
task. Nobody is told whether a contact is known, and no contact is ever shown.

What would surprise you: the digits never stay in the form. It remembers the challenge, and what the customer has written as
their contact, for "send it again".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

from agent.tools import forms
from agent.tools.conduct import Conducted
from agent.tools.contract import (
    Arguments,
    Check,
    Heard,
    Option,
    Question,
    Slot,
    ToolContext,
    ToolResult,
    Values,
)
from agent.tools.forms import Form
from agent.tools.words import Words
from customers.verification.codes import Checked, Contact, read_contact
from foundation.messages import ConversationId, TenantId
from foundation.security import find_code

NAME = "verification"
RESEND = "resend"


class Proves(Protocol):
    """One-time codes as the dialogue sees them; `customers.verification.verification` is behind it."""

    async def is_possible(self, tenant: TenantId, conversation_id: ConversationId) -> bool:
        """Could anybody be sent a code, other than where this conversation is held? Says nothing about this customer."""
        ...

    async def start(
        self,
        tenant: TenantId,
        conversation_id: ConversationId,
        contact: Contact,
        *,
        purpose: str,
        language: str,
        key: str,
        network: str = "",
    ) -> str:
        """The challenge's id, the same for the same `key`. Whether a code goes out is decided later and told to nobody."""
        ...

    async def check(
        self, tenant: TenantId, conversation_id: ConversationId, challenge: str, code: str, *, key: str
    ) -> Checked:
        """Counts as one try for each `key`. The right code proves the contact's customer, and tells the conversation."""
        ...


class VerificationArguments(Arguments):
    """Nothing is carried out by it."""


class Verification:
    name = NAME
    arguments = VerificationArguments
    effect: Literal["read", "write"] = "read"
    does = "leave_a_claim"

    def __init__(self, words: Words) -> None:
        def read_code(heard: Heard) -> str | None:
            if words.resend.search(heard.plain):
                return RESEND
            return find_code(heard.text) or None

        self.slots = (
            Slot("contact", "ask_contact", read=_read_contact),
            Slot("code", "ask_code", read=read_code, when=lambda values: "contact" in values),
        )
        self.options_of_code = words.code_options

    async def options(self, slot: str, values: Values, context: ToolContext) -> Sequence[Option] | ToolResult:
        return []

    async def admits(self, values: Values, context: ToolContext) -> ToolResult | None:
        return None

    async def check(self, values: Values, context: ToolContext) -> Check | ToolResult:
        return Check("ask_code", {})

    async def run(self, values: Values, context: ToolContext) -> ToolResult:
        """The form ends by a right code, not by being carried out."""
        return ToolResult(False, "not_proven", "ask_contact")


@dataclass(frozen=True, slots=True)
class Codes:
    """`Proves` for one turn of one conversation."""

    proves: Proves
    tenant: TenantId
    conversation_id: ConversationId
    language: str
    key: str
    network: str = ""

    async def start(self, contact: str, purpose: str) -> str:
        found = read_contact(contact)
        assert found is not None, "the slot has read it"
        return await self.proves.start(
            self.tenant,
            self.conversation_id,
            found,
            purpose=purpose,
            language=self.language,
            key=self.key,
            network=self.network,
        )

    async def check(self, challenge: str, code: str) -> Checked:
        return await self.proves.check(self.tenant, self.conversation_id, challenge, code, key=self.key)


def begin(purpose: str) -> Form:
    """Asks for the contact; its sentence is said by whoever begins it."""
    form = forms.begin(NAME)
    return forms.ask({**form, "values": {"purpose": purpose}}, "contact", _part("ask_contact"))


async def conduct(tool: Verification, form: Form, heard: Heard, *, words: Words, codes: Codes) -> Conducted:
    reaction = forms.react(form, tool.slots, heard, words=words)
    after = _without_code(reaction.form)
    code = str(reaction.form["values"].get("code", ""))
    if reaction.verdict == "cancelled":
        return Conducted("cancelled", (_part("verification_left"),))
    if "contact" in reaction.changed or code == RESEND or gives_contact(heard):
        return await _start(tool, after, codes)
    if code:
        return await _check(tool, after, code, codes)
    if reaction.verdict == "gave_up":
        return Conducted("gave_up", (), form=after)
    lead = _part("form_not_understood", {"confirming": False})
    return Conducted("open", (lead, *_open_question(after)), form=after)


def gives_contact(heard: Heard) -> bool:
    return read_contact(heard.text) is not None


def settled(dialogue: Mapping[str, Any]) -> dict[str, Any]:
    """Something has been proven: nobody is asked for a code any more, and the form that waited is open again."""
    form = dialogue.get("form") or {}
    if form.get("tool", NAME) != NAME:
        return dict(dialogue)
    tool = dialogue.get("pending", {}).get("tool", "")
    parked = [one for one in dialogue.get("parked") or [] if one["tool"] != NAME]
    mine = next((one for one in reversed(parked) if one["tool"] == tool), None)
    return {**dialogue, "form": mine, "parked": [one for one in parked if one is not mine]}


async def _start(tool: Verification, form: Form, codes: Codes) -> Conducted:
    """The same sentence whoever is asked about, and however often."""
    values = form["values"]
    challenge = await codes.start(str(values["contact"]), str(values["purpose"]))
    begun: Form = {**form, "values": {**values, "challenge": challenge}, "misses": 0}
    return _ask_code(tool, begun, _part("code_sent"))


async def _check(tool: Verification, form: Form, code: str, codes: Codes) -> Conducted:
    checked = await codes.check(str(form["values"].get("challenge", "")), code)
    if checked.state == "right":
        return Conducted("done", (), result=ToolResult(True, "proven", ""))
    lead = _part("code_refused", {"state": checked.state, "left": checked.left})
    return _ask_code(tool, {**form, "misses": 0}, lead)


def _ask_code(tool: Verification, form: Form, lead: Question) -> Conducted:
    question = _part("ask_code", {}, tool.options_of_code)
    return Conducted("open", (lead, question), form=forms.ask(form, "code", question))


def _open_question(form: Form) -> tuple[Question, ...]:
    return () if form["question"] is None else (form["question"],)


def _without_code(form: Form) -> Form:
    values = {name: value for name, value in form["values"].items() if name != "code"}
    return cast("Form", {**form, "values": values, "mentions": []})


def _read_contact(heard: Heard) -> str | None:
    found = read_contact(heard.text)
    return None if found is None else found.value


def _part(reply: str, values: Mapping[str, Any] = {}, options: Sequence[Option] = ()) -> Question:
    return Question(reply=reply, values=dict(values), options=list(options))
