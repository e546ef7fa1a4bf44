"""A folder of Markdown files, with or without a head, read recursively; or one such file.

The id of an article without one is its path in the folder (without a language folder), its language that of the
first folder named like one. Files and folders that begin with a dot or underscore and README.md are not articles.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from foundation.errors import InvalidInput
from retrieval import front_matter
from retrieval.front_matter import Document
from retrieval.sources.contract import Delivery, Problem

_LANGUAGE_FOLDER = re.compile(r"[a-z]{2,3}(-[A-Za-z]{2,4})?")
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_NOT_IN_IDS = re.compile(r"[^\w.-]+")


class MarkdownFolder:
    def __init__(self, folder: Path | str) -> None:
        self._folder = Path(folder)
        self.name = f"markdown:{self._folder.name}"

    async def read(self) -> Delivery:
        return await asyncio.to_thread(self._read)

    def _read(self) -> Delivery:
        if not self._folder.exists():
            raise InvalidInput(f"There is no folder or file {self._folder}.", code="source_missing")
        documents: dict[tuple[str, str], tuple[Document, str]] = {}
        problems: list[Problem] = []
        for path in self._files():
            place = self._place(path)
            try:
                document = self._parse(path, place)
            except InvalidInput as error:
                problems.append(Problem(place, error.public_text))
            except OSError as error:
                problems.append(
                    Problem(place, f"{place}: cannot be read ({error.strerror}). Check its permissions.")
                )
            else:
                key = (document.id, document.language)
                if key in documents:
                    sentence = f"{place}:1: the id {key[0]!r} ({key[1]}) is taken by {documents[key][1]}. Change one of them."
                    problems.append(Problem(place, sentence))
                else:
                    documents[key] = (document, place)
        # An empty folder is more often a mistyped path than the wish to withdraw everything.
        is_complete = self._folder.is_dir() and not problems and bool(documents)
        return Delivery(tuple(document for document, _ in documents.values()), tuple(problems), is_complete)

    def _files(self) -> Iterator[Path]:
        if self._folder.is_file():
            yield self._folder
            return
        for path in sorted(self._folder.rglob("*.md")):
            parts = path.relative_to(self._folder).parts
            if (
                path.is_file()
                and path.name.lower() != "readme.md"
                and not any(p.startswith((".", "_")) for p in parts)
            ):
                yield path

    def _place(self, path: Path) -> str:
        return path.name if path == self._folder else path.relative_to(self._folder).as_posix()

    def _parse(self, path: Path, place: str) -> Document:
        with path.open("rb") as file:
            raw = file.read(front_matter.MAX_BYTES + 1)
        if len(raw) > front_matter.MAX_BYTES:
            size = path.stat().st_size / 1e6
            raise InvalidInput(
                f"{place}: {size:.1f} MB is too large; an article has at most {front_matter.MAX_BYTES / 1e6:.0f} MB. Split it.",
                code="article_too_large",
            )
        folders = Path(place).parent.parts
        language = next((folder for folder in folders if _LANGUAGE_FOLDER.fullmatch(folder)), "")
        rest = [folder for folder in folders if folder != language]
        return front_matter.parse(
            raw,
            place,
            default_id=_identity([*rest, path.stem]),
            default_language=language or _guess_language(raw),
        )


def _identity(parts: list[str]) -> str:
    joined = _NOT_IN_IDS.sub("-", ".".join(parts)).strip("-.")
    if len(joined) > 100 or not joined:
        return "article-" + hashlib.sha256("/".join(parts).encode()).hexdigest()[:16]
    return joined


def _guess_language(raw: bytes) -> str:
    text = raw.decode("utf-8", "replace")
    return "zh" if len(_CHINESE.findall(text)) * 10 > len(text) else "en"
