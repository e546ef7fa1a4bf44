"""A copy of a customer's data as one page that needs nothing else: the same content as the JSON, in words, for people.

Conversations are read as they were written; what only machines can use stays in the JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from customers.privacy import copies
from customers.privacy.copies import Column, Part
from operations.console import words
from operations.console.words import Words

_PAGES = Path(__file__).parent.parent / "pages"
TALKS, LINES = "conversation", "message"
"""Messages are shown under their conversation."""


class CopyPage:
    """`titles`: of channels, by name and language."""

    def __init__(self, titles: Mapping[str, Mapping[str, str]]) -> None:
        self._titles = titles
        self._words = words.load()
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_PAGES), autoescape=True, undefined=jinja2.StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._page = environment.get_template("copy.html")

    def render(self, copy: Mapping[str, Any], language: str) -> str:
        spoken = self._words["zh" if language == "zh" else "en"]
        reasons = dict.fromkeys(why[language] for why in copies.plan().left_out.values())
        shown = [part for part in copies.plan().given if copy["data"][part.table] and part.table != LINES]
        lines: dict[str, list[dict[str, str]]] = {}
        for one in copy["data"][LINES]:
            lines.setdefault(one["conversation_id"], []).append(_line(spoken, one))
        return self._page.render(
            copy=copy, words=spoken, language=language, left_out=list(reasons),
            parts=[self._part(spoken, part, copy["data"][part.table]) for part in shown], lines=lines,
        )  # fmt: skip

    def _part(self, spoken: Words, part: Part, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        columns = [one for one in part.columns if one.readable]
        return {
            "name": part.table, "title": part.title[spoken.language], "count": len(rows), "is_talks": part.table == TALKS,
            "labels": [one.label[spoken.language] for one in columns], "for_machines": len(columns) < len(part.columns),
            "rows": [
                [(one.label[spoken.language], self._told(spoken, one, row[one.name])) for one in columns] for row in rows
            ],
            "ids": [row.get("id") for row in rows],
        }  # fmt: skip

    def _told(self, spoken: Words, column: Column, value: Any) -> str:
        if value is None or value == "":
            return "–"
        if column.is_moment:
            return _moment(value)
        if isinstance(value, bool):
            return spoken("copied.yes" if value else "copied.no")
        if column.named:
            return self._named(spoken, column.named, str(value))
        return _written(value)

    def _named(self, spoken: Words, family: str, code: str) -> str:
        """Names of channels stand among other codes, with the account behind a colon."""
        channel, _, account = code.partition(":")
        if channel in self._titles:
            title = self._titles[channel][spoken.language]
            return f"{title} ({account})" if account else title
        return spoken.named(family, code)


def _line(spoken: Words, said: Mapping[str, Any]) -> dict[str, str]:
    return {
        "mine": "mine" if said["role"] == "customer" else "", "who": spoken.named("copied", said["role"]),
        "at": _moment(said["sent_at"]), "text": said["text"] or spoken.kind(said["kind"]),
    }  # fmt: skip


def _moment(iso: str) -> str:
    return f"{iso[:10]} {iso[11:16]}"


def _written(value: Any) -> str:
    """What has parts is told part by part."""
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_written(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(_written(one) for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
