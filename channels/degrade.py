"""Fits a reply to what a channel can show, aloud: nothing is dropped without a word, nothing exceeds a limit. Pure.

`delivery` calls `fit`, `intake` calls `choice_of` for the number that comes back. Buttons and citations that a channel
shows natively travel with the last part, whose `message.reply` holds exactly what that part has to show.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from channels import text as texts
from channels.contract import Capabilities, Part
from foundation.messages import Attachment, Choice, Citation, OutboundMessage

_WORDS = Path(__file__).parent / "words.yaml"
_CHINESE = ("zh", "yue", "wuu", "cmn")
_MARKS = re.compile(r"^[\s\"'“”‘’(（\[【]+|[\s\"'“”‘’)）\]】.。,，、!！?？~～:：]+$")


def fit(message: OutboundMessage, capabilities: Capabilities) -> list[Part]:
    """At least one part, in the order to send. Every `text` is within the limit and, but for a reply that is shown
    natively altogether, not empty."""
    reply, words = message.reply, words_for(message.reply.language)
    body = reply.text if capabilities.markdown else plain(reply.text)
    shown = [one for one in reply.attachments if one.kind in capabilities.media]
    hidden = [one for one in reply.attachments if one.kind not in capabilities.media]
    native_choices = reply.choices if 0 < len(reply.choices) <= capabilities.buttons else ()
    native_citations = reply.citations if capabilities.citations == "native" else ()
    blocks = [
        body,
        *(_attachment_line(one, words) for one in hidden),
        "" if native_choices else _numbered(reply.choices, words),
        _sources(reply.citations, words) if capabilities.citations == "text" else "",
    ]
    whole = "\n\n".join(block for block in blocks if block.strip())
    pieces = [piece.strip() for piece in texts.split(whole, capabilities.text_limit, capabilities.text_unit)]
    pieces = [piece for piece in pieces if piece] or [""]
    parts = [
        Part(_with(message, text=piece), piece, index, len(pieces)) for index, piece in enumerate(pieces)
    ]
    last = _with(
        message,
        text=pieces[-1],
        choices=native_choices,
        citations=native_citations,
        attachments=tuple(shown),
    )
    return [*parts[:-1], replace(parts[-1], message=last)]


def words_for(language: str) -> Mapping[str, str]:
    """Fixed words of the channels in the language of a reply."""
    words: Mapping[str, Mapping[str, str]] = _words()
    return words["zh" if is_chinese(language) else "en"]


def is_chinese(language: str) -> bool:
    return language.startswith(_CHINESE)


def choice_of(text: str, choices: Sequence[Choice]) -> Choice | None:
    """The choice that a customer means by its label, its value, "2", "２", "②", "第二个" or "the second one"."""
    said = _folded(text)
    if not said or not choices:
        return None
    for choice in choices:
        if said in (_folded(choice.label), _folded(choice.value)):
            return choice
    number = _number(said)
    if number == -1:
        return choices[-1]
    return choices[number - 1] if number is not None and 1 <= number <= len(choices) else None


def plain(markdown: str) -> str:
    """Our small Markdown (bold, links, lists, headings, code) as text that reads well without it."""
    lines = [_plain_line(line) for line in markdown.split("\n") if not line.strip().startswith("```")]
    text = "\n".join(lines)
    text = re.sub(r"!?\[([^\[\]\n]*)\]\((\S+?)\)", _plain_link, text)
    text = re.sub(r"\*\*(\S(?:.*?\S)?)\*\*", r"\1", text)
    text = re.sub(r"(?<![\w*])\*(?=[^\s*])([^*\n]+?)(?<=\S)\*(?![\w*])", r"\1", text)
    return re.sub(r"`([^`\n]+)`", r"\1", text)


def _plain_line(line: str) -> str:
    line = re.sub(r"^(\s*)[-*+]\s+", r"\1• ", line)
    line = re.sub(r"^\s{0,3}#{1,6}\s+", "", line)
    return re.sub(r"^\s{0,3}>\s?", "", line)


def _plain_link(match: re.Match[str]) -> str:
    label, url = match.group(1).strip(), match.group(2)
    return url if label in ("", url) else f"{label} ({url})"


def _numbered(choices: Sequence[Choice], words: Mapping[str, str]) -> str:
    if not choices:
        return ""
    lines = [f"{number}. {choice.label}" for number, choice in enumerate(choices, 1)]
    return "\n".join([words["choose"], *lines])


def _sources(citations: Sequence[Citation], words: Mapping[str, str]) -> str:
    titles = dict.fromkeys(words["title"].format(title=citation.title) for citation in citations)
    return f"{words['source']}: {' '.join(titles)}" if titles else ""


def _attachment_line(attachment: Attachment, words: Mapping[str, str]) -> str:
    where = attachment.url
    if attachment.kind == "location" and attachment.latitude is not None:
        where = f"{attachment.latitude}, {attachment.longitude} {where}".strip()
    details = [one for one in (attachment.name or attachment.description, where) if one]
    kind = words.get(attachment.kind, words["attachment"])
    return f"[{kind}] {' '.join(details)}".rstrip()


def _with(message: OutboundMessage, **reply: Any) -> OutboundMessage:
    bare: dict[str, Any] = {"choices": (), "citations": (), "attachments": ()}
    return message.model_copy(update={"reply": message.reply.model_copy(update=bare | reply)})


def _number(said: str) -> int | None:
    """-1 is "the last one"."""
    words = _words()
    if said in words["last"]:
        return -1
    core = _peel(said, words["before"], words["after"])
    if re.fullmatch(r"\d{1,2}", core):
        return int(core)
    for number, names in enumerate(words["ordinals"], 1):
        if core in names:
            return number
    return None


def _peel(said: str, before: Sequence[str], after: Sequence[str]) -> str:
    """Without the words around the number, longest first, as often as they stand there."""
    changed = True
    while changed:
        changed = False
        for word in sorted(before, key=len, reverse=True):
            rest = _MARKS.sub("", said[len(word) :])
            if said.startswith(word) and rest:
                said, changed = rest, True
                break
        for word in sorted(after, key=len, reverse=True):
            rest = _MARKS.sub("", said[: -len(word)])
            if said.endswith(word) and rest:
                said, changed = rest, True
                break
    return said


def _folded(text: str) -> str:
    """Compatibility forms (２, ②, full width) become plain, case and surrounding marks go."""
    folded, previous = unicodedata.normalize("NFKC", text).casefold(), None
    while folded != previous:
        folded, previous = _MARKS.sub("", folded), folded
    return folded


@cache
def _words() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(_WORDS.read_text(encoding="utf-8"))
    return loaded
