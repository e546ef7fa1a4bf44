"""A reply as a voice says it: nothing that can only be read, no more at once than one listens to. Pure.

`skills` and voice adapters call it. Markdown, addresses and emoji are taken out aloud: the listener learns that there is a
link and where it can be had. What exceeds the limit of one turn is kept in the memory that the platform hands back with
the customer's next words, and is said on "go on". The words stand in `spoken.yaml`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from channels import degrade
from channels import text as texts
from channels.contract import Part

REST_LIMIT = 3000
"""Characters kept for the next turns; platforms cap what they carry for us, the strictest at 24 KB with everything else."""
REST, WAITING, SILENT = "rest", "waiting", "silent"
_WORDS = Path(__file__).parent / "spoken.yaml"
_CHINESE = ("zh", "yue", "wuu", "cmn")
_LABELLED = re.compile(r"[ \t]*[(（]\s*(?:https?://|www\.)[^\s()（）]*\s*[)）]")
_ADDRESS = re.compile(r"(?:https?://|www\.)[^\s<>\"'，。；！？）】》」]+")
_KIND = re.compile(r"^\[([^\[\]\n]{1,20})\][ \t]*", re.MULTILINE)
_BULLET = re.compile(r"^[ \t]*[•·▪‣]\s*", re.MULTILINE)
_ENDS = tuple("。！？；：，、.!?;:,…")
_QUESTIONS = ("?", "？")
_AROUND = re.compile(r"^[\W_]+|[\W_]+$")


@dataclass(frozen=True, slots=True)
class Speech:
    """What one answer says. `memory` comes back with the customer's next words; `keeps_open`: the line waits for them."""

    text: str = ""
    reprompt: str = ""
    keeps_open: bool = True
    memory: Mapping[str, str] = field(default_factory=dict)


SILENCE = Speech(keeps_open=False)


def word(name: str, language: str) -> str:
    return str(_words()["zh" if language.startswith(_CHINESE) else "en"][name])


def goes_on(text: str) -> bool:
    """The customer asks for what was announced, and says nothing else."""
    return _AROUND.sub("", text.casefold()) in _words()["go_on"]


def say(parts: Sequence[Part], language: str, *, limit: int, remembers: bool = True) -> Speech:
    """`limit`: characters of one turn; `remembers`: the platform carries a memory from turn to turn."""
    spoken = parts[0].message.reply.language if parts else language
    whole = "\n".join(part.text for part in parts)
    went = next((part.links_went for part in parts if part.links_went), "")
    return portion(aloud(whole, spoken, links_went=went), spoken, limit=limit, remembers=remembers)


def wait(language: str) -> Speech:
    """The reply is not ready; the next turn brings it."""
    return Speech(word("waiting", language), word("waiting_again", language), memory={WAITING: "1"})


def portion(whole: str, language: str, *, limit: int, remembers: bool = True) -> Speech:
    """As much of a text, which is already fit to be said, as one turn takes."""
    if not whole.strip():
        return Speech(word("welcome", language), word("anything_else", language))
    if len(whole) <= limit:
        return Speech(_with_question(whole, language), word("anything_else", language))
    now = texts.split(whole, limit, "characters")[0]
    rest = whole[len(now) :].strip()
    if not remembers:
        return Speech(_joined(now, word("too_long", language)), word("anything_else", language))
    if len(rest) > REST_LIMIT:
        kept = texts.split(rest, REST_LIMIT - 100, "characters")[0]
        rest = _joined(kept, word("too_long", language))
    more = word("more", language)
    return Speech(_joined(now, more), more, memory={REST: rest})


def unheard(language: str, memory: Mapping[str, str] | None = None) -> Speech:
    """Nothing was understood; what was kept stays kept."""
    sentence = word("unheard", language)
    return Speech(sentence, sentence, memory=dict(memory or {}))


def silence(language: str, memory: Mapping[str, str], *, remembers: bool = True) -> Speech:
    """The customer said nothing: asked once, then let go."""
    if SILENT in memory or not remembers:
        return Speech(word("goodbye", language), keeps_open=False)
    return Speech(word("silence", language), memory={**memory, SILENT: "1"})


def aloud(text: str, language: str, *, links_went: str = "") -> str:
    """One paragraph of plain sentences. `links_went`: the channel that the customer finds the links on."""
    plain = degrade.plain(text)
    without = _ADDRESS.sub(word("link", language), _LABELLED.sub("", plain))
    lines = [_line(line) for line in _BULLET.sub("", _KIND.sub(_kind, without)).split("\n")]
    lines = [line for line in lines if line]
    if _ADDRESS.search(plain):
        went = word("links_went", language).format(channel=links_went)
        lines.append(went if links_went else word("where_links_are", language))
    stop = word("stop", language)
    ended = [line if line.endswith(_ENDS) else line + stop for line in lines[:-1]]
    return _spaced([*ended, *lines[-1:]])


def remembered(attributes: object) -> dict[str, str]:
    """Our own entries of what the platform carried, whatever else stands there."""
    if not isinstance(attributes, Mapping):
        return {}
    found = {name: attributes.get(name) for name in (REST, WAITING, SILENT)}
    return {name: value[:REST_LIMIT] for name, value in found.items() if isinstance(value, str) and value}


def _line(line: str) -> str:
    kept = "".join(character for character in line if not _is_picture(character))
    return re.sub(r"\s+", " ", kept).strip()


def _is_picture(character: str) -> bool:
    return character in "\u200d\ufe0e\ufe0f\u20e3" or unicodedata.category(character) in (
        "So",
        "Cf",
        "Cc",
        "Co",
    )


def _kind(match: re.Match[str]) -> str:
    name = match.group(1)
    return f"{name}：" if re.search(r"[\u4e00-\u9fff]", name) else f"{name}: "


def _with_question(text: str, language: str) -> str:
    """An open line is explained by a question; a reply that asks something has one."""
    asked = text.rstrip(' "”』」').endswith(_QUESTIONS)
    return text if asked else _joined(text, word("anything_else", language))


def _joined(text: str, sentence: str) -> str:
    ended = text.rstrip()
    if not ended.endswith(_ENDS):
        ended += "。" if re.search(r"[\u4e00-\u9fff]", sentence) else "."
    return _spaced([ended, sentence])


def _spaced(lines: Sequence[str]) -> str:
    """Chinese sentences stand close, others with a space between."""
    text = ""
    for line in lines:
        close = not text or text[-1] in "。！？；：，、…“（ " or not line
        text += line if close else f" {line}"
    return text.strip()


@cache
def _words() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(_WORDS.read_text(encoding="utf-8"))
    return loaded
