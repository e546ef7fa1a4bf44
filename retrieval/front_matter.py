"""An article as a text: YAML between two lines of dashes, then Markdown. Reads, checks and writes that form.

Called by the sources (files), by `articles` (drafts from people) and by exports. Whatever is wrong is an
`InvalidInput` that names the place and line and says what mends it; nothing is guessed silently except what a
plain Markdown file cannot say: its id comes from its name, its title from its first heading.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, cast, get_args

import yaml

from foundation.errors import InvalidInput
from retrieval.passages import Audience

MAX_BYTES = 1_000_000
MAX_TITLE = 200
MAX_QUESTIONS = 200
MAX_QUESTION = 300

_ID = re.compile(r"\w[\w.-]{0,99}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_FIRST_HEADING = re.compile(r"\A\s*#\s+(.+?)\s*#*\s*(?:\n|\Z)")
_KNOWN = ("id", "title", "language", "topic", "questions", "audience", "valid_from", "valid_until")


@dataclass(frozen=True, slots=True)
class Document:
    """An article in one language as its author wrote it; dates are ISO days, inclusive, empty when open."""

    id: str
    language: str
    title: str
    body: str
    questions: tuple[str, ...] = ()
    topic: str = ""
    audience: Audience = "public"
    valid_from: str = ""
    valid_until: str = ""

    @property
    def digest(self) -> str:
        whole = json.dumps(asdict(self), ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()


def parse(raw: bytes, place: str, *, default_id: str = "", default_language: str = "") -> Document:
    """`place` names the text in errors, usually its path."""
    if len(raw) > MAX_BYTES:
        raise InvalidInput(
            f"{place}: {len(raw) / 1e6:.1f} MB is too large; an article has at most {MAX_BYTES / 1e6:.0f} MB. Split it.",
            code="article_too_large",
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InvalidInput(
            f"{place}:{line}: the file is not UTF-8 (byte {error.start}). Save it as UTF-8.",
            code="article_not_utf8",
        ) from error
    head, body, offset = _split(text.replace("\r\n", "\n"), place)
    values = _read_yaml(head, place)
    _refuse_misspelt(values, place, head)
    heading = _FIRST_HEADING.match(body)
    if "title" not in values and heading:
        values["title"], body = heading[1], body[heading.end() :]
    return check(
        Document(
            id=_text(values, "id", place, head) or default_id,
            language=_text(values, "language", place, head) or default_language,
            title=_text(values, "title", place, head),
            body=body.strip("\n"),
            questions=_texts(values, place, head),
            topic=_text(values, "topic", place, head),
            audience=cast("Audience", _text(values, "audience", place, head) or "public"),
            valid_from=_day(values, "valid_from", place, head),
            valid_until=_day(values, "valid_until", place, head),
        ),
        place,
        body_line=offset,
    )


def check(document: Document, place: str, *, body_line: int = 1) -> Document:
    """Returns the document; raises `InvalidInput` for the first rule it breaks. `body_line`: where its body begins."""
    for wrong, line, sentence in (
        (not document.title.strip(), 1, "the title is missing. Add a line `title: …` to the head."),
        (len(document.title) > MAX_TITLE, 1, f"the title is longer than {MAX_TITLE} characters. Shorten it."),
        (
            not _ID.fullmatch(document.id),
            1,
            f"the id {document.id!r} may hold letters, digits, `.`, `_`, `-` only.",
        ),
        (
            not _LANGUAGE.fullmatch(document.language),
            1,
            f"the language {document.language!r} is not a code such as zh or en. Write `language: zh`.",
        ),
        (
            not document.body.strip(),
            body_line,
            "the text below the head is empty. Write what customers shall read.",
        ),
        (
            document.audience not in get_args(Audience),
            1,
            f"the audience {document.audience!r} must be one of {', '.join(get_args(Audience))}.",
        ),
        (
            len(document.questions) > MAX_QUESTIONS,
            1,
            f"more than {MAX_QUESTIONS} questions. Keep the typical ones.",
        ),
        (
            any(len(question) > MAX_QUESTION for question in document.questions),
            1,
            f"a question is longer than {MAX_QUESTION} characters. Write it as customers ask it.",
        ),
        (
            bool(document.valid_from and document.valid_until and document.valid_from > document.valid_until),
            1,
            "valid_from lies after valid_until. Swap them.",
        ),
        (_unstorable(document), body_line, "the text holds a NUL or half of a character. Remove it."),
    ):
        if wrong:
            raise InvalidInput(f"{place}:{line}: {sentence}", code="article_invalid")
    return document


def render(document: Document) -> str:
    """The text that `parse` reads back to the same document."""
    values = {name: getattr(document, name) for name in _KNOWN}
    values["questions"] = list(document.questions)
    kept = {
        name: value for name, value in values.items() if value and (name, value) != ("audience", "public")
    }
    head = yaml.safe_dump(kept, allow_unicode=True, sort_keys=False, width=1000)
    return f"---\n{head}---\n\n{document.body}\n"


def _split(text: str, place: str) -> tuple[str, str, int]:
    if not text.startswith("---\n"):
        return "", text, 1
    end = re.search(r"^---[ \t]*$", text[4:], re.MULTILINE)
    if end is None:
        raise InvalidInput(
            f"{place}:1: the head is opened by `---` and never closed. Put `---` on a line of its own below it.",
            code="article_head",
        )
    head = text[4 : 4 + end.start()]
    return head, text[4 + end.end() :], head.count("\n") + 3


def _read_yaml(head: str, place: str) -> dict[str, Any]:
    try:
        values = yaml.safe_load(head) if head.strip() else {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 2 if mark else 1
        problem = getattr(error, "problem", None) or "unreadable"
        raise InvalidInput(
            f"{place}:{line}: the head is not YAML ({problem}). Put texts with `:` or `#` in quotes.",
            code="article_head",
        ) from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{place}:1: the head holds a value that cannot be read ({error}).", code="article_head"
        ) from error
    if not isinstance(values, dict):
        raise InvalidInput(f"{place}:2: the head must be lines of `name: value`.", code="article_head")
    return values


def _refuse_misspelt(values: dict[str, Any], place: str, head: str) -> None:
    """Fields of other systems (tags, author) are passed over; one that is nearly ours is a slip that would lose text."""
    for name in map(str, values):
        meant = difflib.get_close_matches(name.lower(), _KNOWN, 1, 0.8)
        if name not in _KNOWN and meant:
            raise InvalidInput(
                f"{place}:{_line_of(head, name)}: unknown field {name!r}. Write {meant[0]!r}.",
                code="article_head",
            )


def _text(values: dict[str, Any], name: str, place: str, head: str) -> str:
    value = values.get(name)
    if value is None:
        return ""
    if isinstance(value, bool | list | dict):
        raise InvalidInput(
            f"{place}:{_line_of(head, name)}: {name} must be a text. Put it in quotes.", code="article_head"
        )
    return str(value).strip()


def _texts(values: dict[str, Any], place: str, head: str) -> tuple[str, ...]:
    value = values.get("questions") or []
    if not isinstance(value, list) or any(not isinstance(item, str | int | float) for item in value):
        raise InvalidInput(
            f"{place}:{_line_of(head, 'questions')}: questions must be a list of texts, one `- …` a line; "
            "put texts with `:` in quotes.",
            code="article_head",
        )
    return tuple(dict.fromkeys(str(item).strip() for item in value if str(item).strip()))


def _day(values: dict[str, Any], name: str, place: str, head: str) -> str:
    value = values.get(name)
    if value in (None, ""):
        return ""
    if isinstance(value, datetime):
        value = value.date()
    try:
        return date.fromisoformat(str(value)).isoformat()
    except ValueError as error:
        raise InvalidInput(
            f"{place}:{_line_of(head, name)}: {name} must be a day such as 2026-01-31.", code="article_head"
        ) from error


def _line_of(head: str, name: str) -> int:
    for number, line in enumerate(head.split("\n"), start=2):
        if line.startswith(name):
            return number
    return 1


def _unstorable(document: Document) -> bool:
    whole = "".join((document.title, document.body, document.topic, *document.questions))
    return "\0" in whole or any("\ud800" <= character <= "\udfff" for character in whole)
