"""How names, reasons of the matcher and authors of a step are called on a page, in the words of whoever looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nicegui import ui

from customers.linking.linker import MATCHER
from customers.matching.scorer import Reason
from operations.console import frame
from operations.console.reading import Titles
from operations.console.words import Words

WEAK = 0.5
"""Bits below which a reason is left out: it decides nothing and costs attention."""
REASONS_SHOWN = 5

Staff = Mapping[str, str]
"""Names by id."""


def of_namespace(words: Words, titles: Titles, namespace: str) -> str:
    """ "WeChat" for `wechat_oa:wx123`."""
    head = namespace.partition(":")[0]
    title = titles.get(head, {}).get(words.language)
    return title or words.named("name_of", head)


def of_author(words: Words, staff: Staff, author: str) -> str:
    return words("deed.matcher") if author == MATCHER else staff.get(author, author)


def draw_reasons(words: Words, reasons: Sequence[Reason]) -> None:
    """What speaks for one person in green, what against in red, the strongest first; how strong is under the pointer."""
    told = [one for one in reasons if abs(one.bits) >= WEAK][:REASONS_SHOWN]
    if not told:
        return
    with ui.element("div").classes("row reasons"):
        for one in told:
            with ui.element("span").tooltip(f"{one.bits:+.1f} bit"):
                sign = "＋" if one.bits > 0 else "－"
                frame.badge(f"{sign} {words.named('match', one.label)}", "good" if one.bits > 0 else "bad")
