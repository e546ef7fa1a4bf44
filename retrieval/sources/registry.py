"""The kinds of sources and who makes them. A new kind is its module and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from foundation.errors import InvalidInput
from retrieval.sources.contract import Source
from retrieval.sources.markdown_folder import MarkdownFolder

SOURCES: Mapping[str, Callable[[str], Source]] = {
    "markdown": MarkdownFolder,
}


def make(kind: str, address: str) -> Source:
    """`address` means what the kind understands by it: a folder, later a site."""
    if kind not in SOURCES:
        raise InvalidInput(
            f"There is no source {kind!r}. Known: {', '.join(sorted(SOURCES))}.", code="source_unknown"
        )
    return SOURCES[kind](address)
