"""HTML of a mail to text; pure, never raises, fetches nothing.

`body` calls it where a mail has no plain text. The standard library's parser takes minutes for some hostile pages of a few
kilobytes, hence a reader of our own whose time is bounded by the page's length. Scripts, styles and hidden elements are dropped, links keep their
address, and what a client marks as quoted comes out as lines with `> `, so that `quotes` treats both kinds of mail alike.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from html import unescape

from channels.adapters.email.reading.words import QUOTED_CLASSES, QUOTED_IDS, QUOTED_TO_END

LIMIT = 400_000
"""Characters of HTML that are read."""
TAG_LIMIT = 2048
"""A longer tag (a picture in its address) is passed over, attributes and all."""
_SKIPPED = frozenset({"script", "style", "head", "title", "template", "noscript", "object", "iframe", "svg"})
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "center", "dd", "div", "dl", "dt", "fieldset", "footer", "form",
    "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "table",
    "tr", "ul",
})  # fmt: skip
_VOID = frozenset({
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr",
})  # fmt: skip
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all", re.IGNORECASE)
_TAG = re.compile(r"<(/?[a-zA-Z][^\s/<>]*)((?:[^>\"']|\"[^\"]*\"|'[^']*')*)>")
_ATTRIBUTE = re.compile(r"([^\s=/>\"']+)(?:\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s>\"']*))?")
_RAW_ENDS = {
    tag: re.compile(f"</{tag}", re.IGNORECASE) for tag in ("script", "style", "title", "textarea", "xmp")
}
_SPACES = re.compile(r"[ \t\r\n\f\v]+")


def to_text(html: str) -> str:
    reader = _Reader()
    for text, tag, named in _tokens(html[:LIMIT]):
        if not tag:
            reader.data(unescape(text))
        elif tag.startswith("/"):
            reader.end(tag[1:])
        else:
            reader.start(tag, named)
    return reader.text()


def _tokens(html: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """(text, "", {}), ("", "tag", attributes) and ("", "/tag", {}). What is never closed ends the page."""
    place = 0
    while (start := html.find("<", place)) >= 0:
        if start > place:
            yield html[place:start], "", {}
        match = _TAG.match(html, start, start + TAG_LIMIT)
        if html.startswith("<!--", start):
            place = html.find("-->", start + 4) + 3
        elif match:
            tag = match.group(1).lower()
            yield "", tag, _attributes(match.group(2))
            place = _behind_raw(html, tag, match.end())
        elif html[start + 1 : start + 2].isalpha() or html[start + 1 : start + 2] in ("/", "!", "?"):
            place = html.find(">", start) + 1
        else:
            yield "<", "", {}
            place = start + 1
        if place <= start:
            return
    if place < len(html):
        yield html[place:], "", {}


def _behind_raw(html: str, tag: str, place: int) -> int:
    """Behind the content that is no HTML, before its end tag; 0 where that never comes."""
    end = _RAW_ENDS.get(tag)
    if end is None:
        return place
    found = end.search(html, place)
    return found.start() if found else 0


def _attributes(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(text):
        found.setdefault(match.group(1).lower(), unescape((match.group(2) or "").strip("\"'")))
    return found


class _Reader:
    def __init__(self) -> None:
        self._lines: list[str] = []
        self._line: list[str] = []
        self._open: list[tuple[str, str]] = []
        self._tags: Counter[str] = Counter()
        self._effects: Counter[str] = Counter()
        self._link, self._link_text = "", ""
        self._ended = False

    def text(self) -> str:
        self._break()
        lines: list[str] = []
        for line in self._lines:
            if line.strip("> ") or (lines and lines[-1].strip("> ")):
                lines.append(line)
        return "\n".join(lines).strip()

    def start(self, tag: str, named: dict[str, str]) -> None:
        if QUOTED_TO_END.intersection(_names(named)):
            self._break()
            self._ended = True
        if tag in _BLOCKS or tag == "br":
            self._break()
        if tag in _VOID:
            self._show_void(tag, named)
            return
        effect = _effect(tag, named)
        self._open.append((tag, effect))
        self._tags[tag] += 1
        self._effects[effect] += 1
        if tag == "a":
            self._link, self._link_text = named.get("href", "").strip(), ""
        elif tag == "li":
            self._add("• ")
        elif tag in ("td", "th"):
            self._add(" ")

    def end(self, tag: str) -> None:
        if not self._tags[tag]:
            return
        if tag == "a":
            self._close_link()
        if tag in _BLOCKS:
            self._break()
        while self._open:
            opened, effect = self._open.pop()
            self._tags[opened] -= 1
            self._effects[effect] -= 1
            if opened == tag:
                return

    def data(self, data: str) -> None:
        if self._tags["pre"]:
            first, *others = data.split("\n")
            self._add(first)
            for line in others:
                self._break()
                self._add(line)
            return
        self._add(_SPACES.sub(" ", data))

    def _add(self, text: str) -> None:
        if self._ended or self._effects["skip"]:
            return
        if text.startswith(" ") and (not self._line or self._line[-1].endswith(" ")):
            text = text[1:]
        if text:
            self._line.append(text)
            if self._link:
                self._link_text += text

    def _show_void(self, tag: str, named: dict[str, str]) -> None:
        if tag == "img" and (name := _SPACES.sub(" ", named.get("alt", "")).strip()):
            self._add(f"[{name}]")

    def _close_link(self) -> None:
        """The address behind the words, where it says more than they do."""
        link, said, self._link = self._link, self._link_text.strip(), ""
        bare = link.removeprefix("mailto:").rstrip("/")
        if link.lower().startswith(("http://", "https://")) and said and bare not in said:
            self._add(f" ({link})")

    def _break(self) -> None:
        line = "".join(self._line).replace("\xa0", " ").rstrip()
        self._line = []
        self._lines.append(f"> {line}" if self._effects["quote"] else line)


def _effect(tag: str, named: dict[str, str]) -> str:
    if tag in _SKIPPED or "hidden" in named or _HIDDEN.search(named.get("style", "")):
        return "skip"
    names = _names(named)
    return (
        "quote"
        if tag == "blockquote" or not QUOTED_CLASSES.isdisjoint(names) or not QUOTED_IDS.isdisjoint(names)
        else ""
    )


def _names(named: dict[str, str]) -> set[str]:
    return {
        *named.get("class", "").split(),
        *named.get("id", "").split(),
        *(["includetail"] if "includetail" in named else []),
    }
