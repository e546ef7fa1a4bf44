"""What a prompt is right now: the files of the release, and over them what a tenant's content team published.

`load_files` reads the folder once, at start. An `Edition` is one tenant's view at one moment; `library` makes a
new one when something was published. An edit that no longer fits the file it covers (a release changed its inputs) is
left aside and the file speaks, so that an old edit can never silence a reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from foundation import errors
from prompts import templates
from prompts.source import FAMILIES, Body, Broken, Fault, Language, Source, fingerprint, parse, parse_bodies

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rendered:
    """`digest` is id@version#fingerprint of the text and the snippets in it."""

    text: str
    digest: str
    language: Language


def load_files(folder: Path) -> dict[str, Source]:
    """Raises `InvalidInput` naming the file and line."""
    paths = sorted(path for family in FAMILIES for path in (folder / family).rglob("*.md"))
    return {source.id: source for source in map(lambda path: _load(folder, path), paths)}


def faults_of(sources: Mapping[str, Source]) -> list[str]:
    """Everything wrong with the files as they stand together."""
    edition = Edition(sources, {})
    return [
        f"{prompt_id}: {fault}"
        for prompt_id, source in sources.items()
        for fault in templates.check(source, edition.find_snippet, all_inputs_used=True)
    ]


def edited(source: Source, version: int, text: str) -> Source:
    """The file's head over other bodies. Raises `InvalidInput` when a section is missing or empty."""
    return replace(
        source, version=version, text=text.strip("\n") + "\n", bodies=parse_bodies(source.id, text)
    )


class Edition:
    def __init__(self, files: Mapping[str, Source], edits: Mapping[str, Source]) -> None:
        self._files = files
        self._current = {**files, **edits}
        self._ready: dict[tuple[str, Language], tuple[templates.Compiled, str]] = {}

    @classmethod
    def of(cls, files: Mapping[str, Source], texts: Mapping[str, tuple[int, str]]) -> Edition:
        """`texts` are the live edits: id → version and text."""
        edits: dict[str, Source] = {}
        for prompt_id, (version, text) in texts.items():
            try:
                edits[prompt_id] = edited(files[prompt_id], version, text)
            except (KeyError, Broken):
                log.warning("prompt_edit_left_aside", prompt=prompt_id, version=version)
        edition = cls(files, edits)
        for prompt_id in [one for one in edits if edition.faults(one)]:
            log.warning("prompt_edit_left_aside", prompt=prompt_id, version=edits[prompt_id].version)
            edition._current[prompt_id] = files[prompt_id]
        return edition

    def with_edit(self, source: Source) -> Edition:
        return Edition(self._files, {**self._current, source.id: source})

    def get(self, prompt_id: str) -> Source:
        if prompt_id not in self._current:
            raise errors.NotFound(f"There is no prompt {prompt_id}.", code="prompt_unknown")
        return self._current[prompt_id]

    def faults(self, prompt_id: str) -> list[Fault]:
        """Of the prompt and, for a snippet, of every text that includes it."""
        found = templates.check(self.get(prompt_id), self.find_snippet, all_inputs_used=False)
        for user in self._users(prompt_id):
            found += [
                Fault(0, f"{user} would break: {fault.message}")
                for fault in templates.check(self.get(user), self.find_snippet, all_inputs_used=False)
            ]
        return found

    def render(self, prompt_id: str, language: Language, values: Mapping[str, Any]) -> Rendered:
        source = self.get(prompt_id)
        given = _checked(source, values)
        if (prompt_id, language) not in self._ready:
            body = source.body(language)
            digest = f"{prompt_id}@{source.version}#{self._fingerprint(source)}"
            self._ready[prompt_id, language] = (
                templates.compiled(body, language, self.find_snippet),
                digest,
            )
        template, digest = self._ready[prompt_id, language]
        return Rendered(template.render({**given, "language": language}), digest, language)

    def is_edited(self, prompt_id: str) -> bool:
        return self._current[prompt_id] is not self._files[prompt_id]

    def find_snippet(self, prompt_id: str, language: Language) -> Body | None:
        source = self._current.get(prompt_id)
        return None if source is None or not prompt_id.startswith("snippets/") else source.body(language)

    def _fingerprint(self, source: Source) -> str:
        inside = sorted(self._included(source) - {source.id})
        return fingerprint([source.text, *(self._current[name].text for name in inside)])

    def _included(self, source: Source) -> set[str]:
        """All the way down; a text that cannot be parsed includes nothing, and its own check says why."""
        found: set[str] = set()
        waiting = [source]
        while waiting:
            for body in waiting.pop().bodies.values():
                new = {name for name in templates.includes(body) if name in self._current} - found
                found |= new
                waiting += [self._current[name] for name in new]
        return found

    def _users(self, prompt_id: str) -> list[str]:
        if not prompt_id.startswith("snippets/"):
            return []
        return [
            one.id
            for one in self._current.values()
            if one.id != prompt_id and prompt_id in self._included(one)
        ]


def _load(folder: Path, path: Path) -> Source:
    prompt_id = path.relative_to(folder).with_suffix("").as_posix()
    try:
        return parse(prompt_id, path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise Broken(prompt_id, [Fault(0, "the file is not UTF-8; save it as UTF-8")]) from error


def _checked(source: Source, values: Mapping[str, Any]) -> dict[str, Any]:
    expected = set(source.inputs) - {"language"}
    missing, unknown = sorted(expected - set(values)), sorted(set(values) - expected)
    if missing or unknown:
        complaint = "; ".join(
            f"{word}: {', '.join(names)}"
            for word, names in (("missing", missing), ("unknown", unknown))
            if names
        )
        raise errors.InvalidInput(
            f"{source.id} was given other inputs than it has: {complaint}", code="prompt_inputs"
        )
    return {name: templates.plain(value) for name, value in values.items()}
