"""What goes into the one variable of an approved template, where a carrier takes no free text. Pure.

A variable is short and takes no line breaks. A reply that needs more messages than are allowed ends, aloud, with the last
one that is; what comes behind it is not sent.
"""

from __future__ import annotations

from channels.contract import Part
from channels.families.sms.texts import cut, one_line


def fill(part: Part, *, limit: int, messages: int) -> str:
    """The variable's value; "" when this part comes behind the last message that is allowed."""
    if part.index >= messages:
        return ""
    more = part.index == messages - 1 and part.count > messages
    return cut(one_line(part.text), limit, part.message.reply.language, more=more)[0]
