"""Turns a text into weighted character n-grams, hashed into a fixed number of buckets.

Called by the heads when they are fitted and when they serve. Chinese gives runs of one to three characters,
scripts with spaces give word parts of two to five letters and whole words, and every symbol counts for itself (a
row of exclamation marks is a feeling). The hash is CRC-32, so the same text meets the same buckets everywhere.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_RUN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+|\d+|[^\W\d_]+|[^\w\s]|_")
_IDEOGRAPHS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")

LONGEST_TEXT = 2_000
"""Characters that are looked at: nobody's wish stands behind them, and a hostile text must stay cheap."""


@dataclass(frozen=True)
class SparseRow:
    """`buckets` is ascending without repetition; `weights` has length one unless the text is empty."""

    buckets: NDArray[np.int64]
    weights: NDArray[np.float32]


class CharacterNgrams:
    """Term frequencies are damped (1 + log), weighted by `rarity` (one value a bucket), then set to length one."""

    def __init__(self, rarity: NDArray[np.float32]) -> None:
        self.rarity = rarity

    @classmethod
    def fit(cls, texts: Sequence[str], buckets: int) -> CharacterNgrams:
        seen = np.zeros(buckets, dtype=np.float64)
        for text in texts:
            seen[[*_counts(text, buckets)]] += 1
        return cls((np.log((1 + len(texts)) / (1 + seen)) + 1).astype(np.float32))

    def row(self, text: str) -> SparseRow:
        counts = sorted(_counts(text, len(self.rarity)).items())
        buckets = np.array([bucket for bucket, _ in counts], dtype=np.int64)
        damped = 1 + np.log(np.array([count for _, count in counts], dtype=np.float64))
        weights = damped * self.rarity[buckets]
        length = float(np.linalg.norm(weights)) or 1.0
        return SparseRow(buckets, (weights / length).astype(np.float32))


def _counts(text: str, buckets: int) -> Counter[int]:
    return Counter(zlib.crc32(gram.encode("utf-8", "replace")) % buckets for gram in grams(text))


def grams(text: str) -> Iterator[str]:
    for run in _RUN.findall(text[:LONGEST_TEXT].lower()):
        if _IDEOGRAPHS.match(run):
            yield from _parts(run, 1, 3)
        elif len(run) == 1 and not run.isalnum():
            yield run
        else:
            yield f"<{run}>"
            yield from _parts(f" {run} ", 2, 5)


def _parts(run: str, shortest: int, longest: int) -> Iterator[str]:
    for size in range(shortest, longest + 1):
        for start in range(len(run) - size + 1):
            yield run[start : start + size]
