"""What a knowledge base teaches about itself when it is indexed: where its vectors lie, how much each part of the
ranking is worth, and how a question looks that it cannot answer.

Called by ingestion on every build, in a thread; the result is stored with the release and read by search. The
teachers are the articles' own questions, each hidden while it is asked: with its article present it is a question
that has an answer, with its article taken away one that has none. Too few questions: defaults measured on the shop.

Vectors are centred on the mean of their language and kind first: an encoder puts all texts of one language into a
narrow cone, and without the cone's axis similarities tell more (+3 to +7 points of first hits on the shop's suites).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np

from retrieval import lexical, ranking
from retrieval.passages import Kind, Passage, Vector, language_family
from retrieval.ranking import Candidate, Floats, Logistic, Weights

DENSE_CANDIDATES = 100
LEXICAL_CANDIDATES = 40
FEWEST_QUESTIONS = 30
MOST_QUESTIONS = 300
SHRINKAGE = 10.0
"""A mean of n vectors is trusted n / (n + 10): two articles must not be centred on themselves."""

_BODY_SHARES = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 1.0)
_LEXICAL_SHARES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)


@dataclass(frozen=True)
class Calibration:
    means: Mapping[str, Vector]
    weights: Weights = ranking.DEFAULT_WEIGHTS
    answering: Logistic = ranking.DEFAULT_ANSWERING
    answering_by_words: Logistic = ranking.DEFAULT_ANSWERING_BY_WORDS
    """Stands in while the vector index is away."""

    def centre(self, vectors: Vector, places: Sequence[tuple[str, Kind]]) -> Vector:
        """`places`: language and kind of each row; unit rows again."""
        if not len(vectors):
            return vectors
        dimensions = vectors.shape[1]
        return _unit(vectors - np.stack([self._mean(*place, dimensions) for place in places]))

    def centre_query(self, vector: Vector, language: str) -> Vector:
        centred: Vector = self.centre(vector[None, :], [(language, "question")])[0]
        return centred

    def dump(self) -> bytes:
        head = {
            "means": list(self.means),
            "weights": asdict(self.weights),
            "answering": asdict(self.answering),
            "answering_by_words": asdict(self.answering_by_words),
        }
        rows = b"".join(np.asarray(self.means[name], dtype="<f4").tobytes() for name in self.means)
        return json.dumps(head).encode() + b"\n" + rows

    def _mean(self, language: str, kind: Kind, dimensions: int) -> Vector:
        family = language_family(language)
        if (mean := self.means.get(f"{family}/{kind}")) is not None:
            return mean
        others = [mean for name, mean in self.means.items() if name.endswith(f"/{kind}")]
        return np.mean(others, axis=0) if others else np.zeros(dimensions, dtype=np.float32)


def load(raw: bytes) -> Calibration:
    line, _, rows = raw.partition(b"\n")
    head = json.loads(line)
    matrix = np.frombuffer(rows, dtype="<f4").reshape(max(len(head["means"]), 1), -1)
    return Calibration(
        means=dict(zip(head["means"], matrix, strict=False)),
        weights=Weights(**head["weights"]),
        answering=_logistic(head["answering"]),
        answering_by_words=_logistic(head["answering_by_words"]),
    )


def fit(passages: Sequence[Passage], vectors: Vector) -> tuple[Calibration, Vector]:
    """`vectors` are the raw ones, row by row; returns the calibration and the centred vectors. Takes seconds."""
    placed = Calibration(_means(passages, vectors))
    centred = placed.centre(vectors, [(passage.language, passage.kind) for passage in passages])
    lessons = _Lessons(passages, centred).prepare()
    if lessons is None:
        return placed, centred
    weights = choose_weights([(lesson.answered, lesson.article) for lesson in lessons.all])
    answering, by_words = lessons.learn_answering(weights)
    return Calibration(placed.means, weights, answering, by_words), centred


def choose_weights(lessons: Sequence[tuple[Sequence[Candidate], str]]) -> Weights:
    """The weights nearest to the default that the lessons cannot tell from the best (two standard errors); dense alone
    and words alone are among the choices. Quality is the mean reciprocal rank of the right article. The default has
    this credit because an author words the questions of one article apart from each other, while customers come
    close to one of them: on lessons alone questions and words are undervalued (on the shop's suites the best of the
    lessons lost 4 points of first hits in Chinese, 18 in Cantonese and 6 in English against the default)."""
    parts = [(ranking.article_parts(candidates), article) for candidates, article in lessons]
    choices = [Weights(body, share) for body, share in product(_BODY_SHARES, _LEXICAL_SHARES)]
    results = {
        choice: np.array([_reciprocal_rank(rows, names, article, choice) for (names, rows), article in parts])
        for choice in (*choices, ranking.LEXICAL_ONLY)
    }
    quality = {choice: float(values.mean()) for choice, values in results.items()}
    best = max(quality, key=lambda choice: quality[choice])
    error = float(results[best].std()) / max(len(parts), 1) ** 0.5
    enough = quality[best] - 2 * error
    return min((choice for choice in quality if quality[choice] >= enough), key=_distance_from_default)


@dataclass(frozen=True, slots=True)
class _Lesson:
    """One own question with its candidates when its article is there and when it is not."""

    text: str
    article: str
    language: str
    answered: tuple[Candidate, ...]
    unanswered: tuple[Candidate, ...]


class _Lessons:
    def __init__(self, passages: Sequence[Passage], centred: Vector) -> None:
        self._passages = passages
        self._vectors = centred
        self._at = {passage.id: at for at, passage in enumerate(passages)}
        self._of_article: dict[str, list[int]] = {}
        for at, passage in enumerate(passages):
            self._of_article.setdefault(passage.article, []).append(at)
        self._index = lexical.LexicalIndex()
        self.all: list[_Lesson] = []

    def prepare(self) -> _Lessons | None:
        """None when there are too few questions or articles to learn from."""
        own = [
            at for at, one in enumerate(self._passages) if one.kind == "question" and one.text != one.heading
        ]
        if len(own) < FEWEST_QUESTIONS or len({self._passages[at].article for at in own}) < 5:
            return None
        self._index.add({passage.id: passage.context for passage in self._passages})
        # Ids are digests: their order is as good as chance, and the same in every build.
        for at in sorted(own, key=lambda at: self._passages[at].id)[:MOST_QUESTIONS]:
            self.all.append(self._lesson(at))
        return self

    def learn_answering(self, weights: Weights) -> tuple[Logistic, Logistic]:
        fused, by_words = [], []
        labels: list[float] = []
        for lesson in self.all:
            terms = self._index.weights(list(dict.fromkeys(lexical.words(lesson.text))))
            for candidates, label in ((lesson.answered, 1.0), (lesson.unanswered, 0.0)):
                fused.append(self._signals(candidates, weights, lesson.language, terms, ranking.SIGNALS))
                by_words.append(
                    self._signals(
                        candidates, ranking.LEXICAL_ONLY, lesson.language, terms, ranking.LEXICAL_SIGNALS
                    )
                )
                labels.append(label)
        truth = np.array(labels)
        return (
            ranking.fit_logistic(ranking.SIGNALS, np.array(fused), truth),
            ranking.fit_logistic(ranking.LEXICAL_SIGNALS, np.array(by_words), truth),
        )

    def _lesson(self, at: int) -> _Lesson:
        question = self._passages[at]
        text = question.text
        family = language_family(question.language)
        hidden, whole = set(), set()
        for other in self._of_article[question.article]:
            passage = self._passages[other]
            whole.add(other)
            # Its translation would give the answer away, and customers' questions have none in the base.
            translated = passage.kind == "question" and language_family(passage.language) != family
            if passage.text == text or translated:
                hidden.add(other)
        similarities = (self._vectors @ self._vectors[at]).astype(np.float64)
        matches = self._index.search(text, 2 * LEXICAL_CANDIDATES)
        answered = self._candidates(similarities, matches, hidden)
        return _Lesson(
            text,
            question.article,
            question.language,
            answered,
            self._candidates(similarities, matches, whole),
        )

    def _candidates(
        self, similarities: Floats, matches: Iterable[tuple[str, float]], hidden: set[int]
    ) -> tuple[Candidate, ...]:
        visible = similarities.copy()
        visible[list(hidden)] = -np.inf
        count = min(DENSE_CANDIDATES, len(visible) - len(hidden))
        dense = np.argpartition(-visible, max(count - 1, 0))[:count].tolist()
        words = [
            (self._at[identity], score) for identity, score in matches if self._at[identity] not in hidden
        ]
        lexical_scores = dict(words[:LEXICAL_CANDIDATES])
        chosen = set(dense)
        return tuple(
            Candidate(
                self._passages[at],
                self._passages[at].heading,
                float(similarities[at]) if at in chosen else None,
                lexical_scores.get(at),
            )
            for at in [*dense, *(at for at in lexical_scores if at not in chosen)]
        )

    def _signals(
        self,
        candidates: Sequence[Candidate],
        weights: Weights,
        language: str,
        terms: Mapping[str, float],
        names: Sequence[str],
    ) -> list[float]:
        ranked = ranking.rank(candidates, weights, language=language)
        if not ranked:
            return [0.0] * len(names)
        covered = self._index.covered(terms, [one.passage.id for one in ranked[0].candidates])
        values = ranking.signals(ranked, terms, covered)
        return [values[name] for name in names]


def _means(passages: Sequence[Passage], vectors: Vector) -> dict[str, Vector]:
    rows: dict[str, list[int]] = {}
    for at, passage in enumerate(passages):
        rows.setdefault(f"{language_family(passage.language)}/{passage.kind}", []).append(at)
    return {
        name: (vectors[members].mean(axis=0) * len(members) / (len(members) + SHRINKAGE)).astype(np.float32)
        for name, members in sorted(rows.items())
    }


def _unit(vectors: Vector) -> Vector:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)


def _reciprocal_rank(rows: Floats, names: Sequence[str], article: str, weights: Weights) -> float:
    if article not in names:
        return 0.0
    scores = weights.apply(rows)
    return 1.0 / (1 + int((scores > scores[names.index(article)]).sum()))


def _distance_from_default(weights: Weights) -> float:
    default = ranking.DEFAULT_WEIGHTS
    return (
        abs(weights.body - default.body)
        + abs(weights.lexical - default.lexical)
        + 10 * abs(weights.dense - default.dense)
    )


def _logistic(values: Mapping[str, Any]) -> Logistic:
    lists = {name: tuple(values[name]) for name in ("names", "means", "deviations", "coefficients")}
    return Logistic(**lists, intercept=float(values["intercept"]))
