"""BM25 over the words of passages, in memory, one index a tenant and language; filled from SQL by `search`.

Chinese is read twice: as the words jieba finds and as pairs of characters, because customers' words are often not
in a dictionary; English words lose their endings. Adding one article costs its own words and not the index: the
inverse document frequencies are worked out at query time, and a removed passage is only marked until a tenth is.

Okapi BM25 with the usual k1 = 1.2 and b = 0.75 (Robertson and Zaragoza, 2009). Every method is safe to call from
threads: work on text happens before the lock, so that a search never waits for a segmentation.
"""

from __future__ import annotations

import functools
import logging
import re
import threading
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.passages import simplified

K1, B = 1.2, 0.75
COMPACT_SHARE = 0.1
"""Share of removed passages at which the index is written anew."""

_RUN = re.compile(
    r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+|[a-z]+(?:['’][a-z]+)?|\d+(?:[.,]\d+)*", re.UNICODE
)


def words(text: str) -> list[str]:
    """What two texts are compared by; the order is that of the text."""
    found: list[str] = []
    for run in _RUN.findall(simplified(text).lower()):
        if run[0].isdigit():
            found.append(run)
        elif run[0].isascii():
            found.append(stem(re.split("['’]", run)[0]))
        else:
            found += chinese_words(run)
            found += [run[at : at + 2] for at in range(len(run) - 1)]
    return found


def stem(word: str) -> str:
    """Cuts plural, -ing and -ed; a light stemmer, because a wrong cut costs more than a missed one."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    for ending in ("sses", "shes", "ches", "xes"):
        if word.endswith(ending):
            return word[:-2]
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return _without_double(word[: -len(ending)])
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        word = word[:-1]
    return word[:-1] if word.endswith("e") and len(word) > 4 else word


def _without_double(word: str) -> str:
    if word[-1] == word[-2] and word[-1] not in "lsz":
        return word[:-1]
    return word[:-1] if word.endswith("e") and len(word) > 4 else word


def chinese_words(run: str) -> list[str]:
    return [str(word) for word in _segmenter().lcut(run)]


@functools.cache
def _segmenter() -> Any:
    # Imported late: its dictionary takes 0.6 s and 60 MB, which a process that never searches must not pay.
    import jieba

    jieba.setLogLevel(logging.WARNING)
    tokenizer = jieba.Tokenizer()
    tokenizer.initialize()
    return tokenizer


@dataclass(slots=True)
class _Postings:
    """Where a word occurs: slots and how often, in step."""

    slots: array[int] = field(default_factory=lambda: array("I"))
    counts: array[int] = field(default_factory=lambda: array("H"))


class LexicalIndex:
    """Ids are the caller's; adding a known id replaces nothing and costs nothing. Any number of searches at once, one
    writer at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clear()

    def _clear(self) -> None:
        self._postings: dict[str, _Postings] = {}
        self._ids: list[str] = []
        self._slot: dict[str, int] = {}
        self._lengths = array("I")
        self._living = bytearray()
        self._texts: list[str] = []

    def __len__(self) -> int:
        return len(self._slot)

    def __contains__(self, identity: str) -> bool:
        return identity in self._slot

    def ids(self) -> set[str]:
        with self._lock:
            return set(self._slot)

    def add(self, texts: Mapping[str, str]) -> None:
        """A hundred passages at a time are locked, so that searches go on during a first fill."""
        prepared: list[tuple[str, Counter[str], str]] = []
        for identity, text in texts.items():
            if identity not in self._slot:
                prepared.append((identity, Counter(words(text)), text))
            if len(prepared) == 100:
                self._insert(prepared)
                prepared = []
        self._insert(prepared)

    def remove(self, ids: Iterable[str]) -> None:
        """Unknown ids are ignored."""
        with self._lock:
            for identity in ids:
                slot = self._slot.pop(identity, None)
                if slot is not None:
                    self._living[slot] = 0
                    self._texts[slot] = ""
            crowded = len(self._ids) - len(self._slot) > max(100, COMPACT_SHARE * len(self._ids))
        if crowded:
            self._compact()

    def search(self, query: str, limit: int, *, without: Iterable[str] = ()) -> list[tuple[str, float]]:
        """Best first; only passages that share a word with the query. `without` hides passages from this search."""
        terms = Counter(words(query))
        with self._lock:
            scores = self._scores(terms)
            for identity in without:
                if identity in self._slot:
                    scores[self._slot[identity]] = 0.0
            count = min(limit, int(np.count_nonzero(scores)))
            if not count:
                return []
            top = np.argpartition(-scores, count - 1)[:count]
            ranked = sorted(top.tolist(), key=lambda slot: (-scores[slot], self._ids[slot]))
            return [(self._ids[slot], float(scores[slot])) for slot in ranked]

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """Scores texts that are not in the index as if they were: for the preview of a draft."""
        terms = Counter(words(query))
        rarity = self.weights(list(terms))
        with self._lock:
            average = max(sum(self._lengths) / max(len(self._lengths), 1), 1.0)
        scores = []
        for text in texts:
            counts = Counter(words(text))
            damping = K1 * (1 - B + B * counts.total() / average)
            scores.append(
                sum(
                    times * rarity[term] * counts[term] * (K1 + 1) / (counts[term] + damping)
                    for term, times in terms.items()
                    if counts[term]
                )
            )
        return scores

    def weights(self, terms: Sequence[str]) -> dict[str, float]:
        """Inverse document frequency of each term; the highest possible one for a term that never occurs."""
        with self._lock:
            return {term: self._rarity(self._postings.get(term)) for term in terms}

    def covered(self, terms: Iterable[str], ids: Iterable[str]) -> set[str]:
        """The terms that occur in at least one of these passages; unknown ids are ignored."""
        with self._lock:
            slots = [self._slot[identity] for identity in ids if identity in self._slot]
            return {
                term
                for term in terms
                if (postings := self._postings.get(term)) is not None
                and any(_holds(postings.slots, slot) for slot in slots)
            }

    def _rarity(self, postings: _Postings | None) -> float:
        seen = len(postings.slots) if postings else 0
        return float(np.log1p((len(self._ids) - seen + 0.5) / (seen + 0.5)))

    def _scores(self, terms: Mapping[str, int]) -> NDArray[np.float32]:
        scores = np.zeros(len(self._ids), dtype=np.float32)
        if not self._ids:
            return scores
        lengths = np.frombuffer(self._lengths, dtype=np.uint32).astype(np.float32)
        damping = K1 * (1 - B + B * lengths / max(float(lengths.mean()), 1.0))
        for term, times in terms.items():
            if (postings := self._postings.get(term)) is not None:
                slots = np.frombuffer(postings.slots, dtype=np.uint32)
                counts = np.frombuffer(postings.counts, dtype=np.uint16).astype(np.float32)
                gain = counts * (K1 + 1) / (counts + damping[slots])
                scores[slots] += np.float32(times * self._rarity(postings)) * gain
        return scores * np.frombuffer(self._living, dtype=np.uint8)

    def _insert(self, prepared: Sequence[tuple[str, Counter[str], str]]) -> None:
        with self._lock:
            for identity, counts, text in prepared:
                if identity in self._slot:
                    continue
                slot = len(self._ids)
                self._ids.append(identity)
                self._slot[identity] = slot
                self._texts.append(text)
                self._lengths.append(sum(counts.values()))
                self._living.append(1)
                for term, times in counts.items():
                    postings = self._postings.setdefault(term, _Postings())
                    postings.slots.append(slot)
                    postings.counts.append(min(times, 65_535))

    def _compact(self) -> None:
        """Built beside the living one and taken over in one step."""
        with self._lock:
            kept = {identity: self._texts[slot] for identity, slot in self._slot.items()}
        fresh = LexicalIndex()
        fresh.add(kept)
        with self._lock:
            added = {i: self._texts[s] for i, s in self._slot.items() if i not in kept}
            gone = [identity for identity in kept if identity not in self._slot]
        fresh.add(added)
        fresh.remove(gone)
        with self._lock:
            for name in ("_postings", "_ids", "_slot", "_lengths", "_living", "_texts"):
                setattr(self, name, getattr(fresh, name))


def _holds(ascending: array[int], slot: int) -> bool:
    at = bisect_left(ascending, slot)
    return at < len(ascending) and ascending[at] == slot
