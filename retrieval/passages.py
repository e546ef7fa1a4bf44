"""The values of retrieval: what is asked, what is stored, what is found. Pure; everybody above may import them.

A passage is a piece of one version of an article. Its id is a digest of where it stands and what it says, so a
passage that an edit did not touch keeps its id, its vector and its place in the index.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from foundation.messages import TenantId

Kind = Literal["body", "question"]
Audience = Literal["public", "member", "internal"]
Vector = NDArray[np.float32]

READABLE_BY: dict[Audience, tuple[Audience, ...]] = {
    "public": ("public",),
    "member": ("public", "member"),
    "internal": ("public", "member", "internal"),
}
"""What a reader may see: a member sees public articles as well, staff see everything."""


@dataclass(frozen=True, slots=True)
class Passage:
    """`text` is what a query is compared with, `answer` what may be quoted: for a body passage the same text, for a
    question the article's lead paragraph."""

    id: str
    article: str
    language: str
    version: int
    position: int
    kind: Kind
    heading: str
    text: str
    answer: str

    @property
    def context(self) -> str:
        """What is embedded and searched: a piece of a body is read under its headings, a question stands alone."""
        return f"{self.heading}\n{self.text}" if self.kind == "body" else self.text


@dataclass(frozen=True, slots=True)
class Query:
    """`vector` is the turn's one embedding of `text` on the query side."""

    tenant: TenantId
    text: str
    vector: Vector = field(repr=False, compare=False)
    language: str = "zh"
    audience: Audience = "public"


@dataclass(frozen=True, slots=True)
class Hit:
    """The best passage of one article. `other_language`: the article exists in no version of the query's language."""

    passage_id: str
    article: str
    language: str
    title: str
    version: int
    text: str
    answer: str
    heading: str
    score: float
    parts: dict[str, float]
    other_language: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """`answerable` is the calibrated probability that the best hit answers the question. `degraded` names the parts
    that did not work: "index", "lexical"; empty means everything did."""

    passages: tuple[Hit, ...]
    answerable: float
    degraded: tuple[str, ...] = ()
    signals: dict[str, float] = field(default_factory=dict)

    @property
    def best(self) -> Hit | None:
        return self.passages[0] if self.passages else None


def passage_id(*parts: str) -> str:
    """160 bits over all parts; the separator keeps ("ab", "c") and ("a", "bc") apart."""
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:40]


def language_family(language: str) -> str:
    """Articles in Traditional or Cantonese serve Chinese readers: one family, told apart only by their text."""
    family = language.lower().replace("_", "-").split("-")[0]
    return "zh" if family in ("yue", "wuu", "cmn", "mixed", "") else family


@functools.cache
def _to_simplified() -> Any:
    # Imported late: loading its tables takes longer than importing this module, and pure readers never need it.
    import opencc

    return opencc.OpenCC("t2s")


def simplified(text: str) -> str:
    """Traditional characters as Simplified ones, so that articles and questions meet; other text is unchanged."""
    return str(_to_simplified().convert(text))
