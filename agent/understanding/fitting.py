"""Learns a `TextHead` from labelled texts: any labels, any language, from one example a label upwards.

Called by `train` at build time and by whoever lets a user bring intents of their own; needs scikit-learn, which
serving never does. Everything that is chosen is chosen on held-out examples: the strength of the vector model (noisy
labels want a weak one), the weights of the two models, and the novelty judgement, for which whole labels are
left out in turn: their texts are what "near, but none of mine" looks like. Texts known to lie outside make it sharper.
Same input, same result. 10,000 examples of 77 labels take well under a minute, embedding apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from agent.understanding.heads import (
    ANY_SCRIPT,
    SIGNALS,
    SIGNALS_WITH_OUTSIDE,
    Blend,
    FloatMatrix,
    Learned,
    Linear,
    Novelty,
    TextHead,
    centre,
    log_softmax,
    nearness,
    quantised,
    restored,
    signals,
)
from agent.understanding.ngrams import CharacterNgrams
from agent.understanding.scripts import dominant_script
from foundation.errors import InvalidInput

FOLDS = 4
STRENGTHS = (3.0, 30.0)
"""Inverse regularisation of the vector model: the first suits noisy labels, the second clean ones."""
TUNING_ROWS = 1_600
TEXTS_FOR_A_MEAN = 12
OUTSIDE_FOR_A_CLASS = 10
OUTSIDE_SHARE = 0.2
"""The assumed share of messages that belong to no label; real shops see 10 to 35 %."""
CUTS = 401
AS_GOOD = 0.01
"""One standard error of a share of 0.8 over `TUNING_ROWS` messages: what they cannot tell apart."""
SHARE_OF_LEFT_OUT_LABELS = 0.3
"""How much the left-out labels count beside real outside texts, where there are some."""
UNTUNED = Blend(dense=2.5, sparse=0.5)
"""For a cold start (one example a label), where nothing can be held out."""


@dataclass(frozen=True)
class Examples:
    """`vectors[i]` embeds `texts[i]` on the query side; `outside` rows carry the label None."""

    texts: Sequence[str]
    vectors: FloatMatrix
    labels: Sequence[str | None]

    def __post_init__(self) -> None:
        if not len(self.texts) == len(self.labels) == len(self.vectors):
            raise InvalidInput("Texts, vectors and labels must be of one length.", code="examples_unequal")
        if len({label for label in self.labels if label is not None}) < 2:
            raise InvalidInput("A classifier needs examples of at least two labels.", code="examples_too_few")


def fit_head(
    examples: Examples,
    *,
    clouds: Mapping[str, FloatMatrix] | None = None,
    closed: bool = False,
    buckets: int = 2**15,
    seed: int = 0,
    about: Mapping[str, Any] | None = None,
) -> TextHead:
    """`clouds` (where the engine puts each writing system) lets examples in one language serve others.
    A `closed` head takes every text for one of its labels; it keeps no examples and is smaller by far.
    `buckets` trades size for sharpness of the character model; a few thousand suffice for some dozen labels.
    """
    data = _Rows.of(examples, clouds or {}, buckets)
    tuning = _tuning_rows(data, seed)
    strength, blend, held_out = _tune(data, tuning, seed)
    novelty = _no_judgement(data)
    if not closed and held_out is not None:
        novelty = _fit_novelty(data, tuning, held_out, strength=strength, blend=blend, seed=seed)
    fitted = _fit_models(data, np.arange(len(data.targets)), strength)
    learned = Learned(
        labels=tuple(data.names),
        means={script: mean.astype(np.float16).astype(np.float32) for script, mean in data.means.items()},
        dense=Linear(fitted.dense.weights.astype(np.float16).astype(np.float32), fitted.dense.bias),
        sparse=Linear(restored(*quantised(fitted.sparse.weights)), fitted.sparse.bias),
        rarity=data.ngrams.rarity.astype(np.float16).astype(np.float32),
        blend=blend,
        novelty=novelty,
        examples=_kept(data, data.targets < len(data.names), closed),
        outside_examples=_kept(data, data.targets == len(data.names), closed),
        has_outside=data.has_outside,
        about={**(about or {}), "strength": strength, "rows": len(data.targets)},
    )
    return TextHead(learned)


@dataclass(frozen=True)
class _Rows:
    """Examples as matrices; the target `len(names)` means "outside"."""

    names: list[str]
    targets: NDArray[np.int64]
    means: dict[str, FloatMatrix]
    dense: FloatMatrix
    sparse: csr_matrix
    ngrams: CharacterNgrams
    has_outside: bool

    @property
    def columns(self) -> int:
        return len(self.names) + self.has_outside

    @classmethod
    def of(cls, examples: Examples, clouds: Mapping[str, FloatMatrix], buckets: int) -> _Rows:
        names = sorted({label for label in examples.labels if label is not None})
        has_outside = sum(label is None for label in examples.labels) >= OUTSIDE_FOR_A_CLASS
        kept = [row for row, label in enumerate(examples.labels) if label is not None or has_outside]
        texts = [examples.texts[row] for row in kept]
        number = {name: position for position, name in enumerate(names)}
        targets = [number.get(examples.labels[row] or "", len(names)) for row in kept]
        vectors = examples.vectors[kept]
        means = _means(texts, vectors, clouds)
        ngrams = CharacterNgrams.fit(texts, buckets)
        return cls(
            names=names,
            targets=np.array(targets, dtype=np.int64),
            means=means,
            dense=centre(texts, vectors, means),
            sparse=_sparse_matrix(texts, ngrams),
            ngrams=ngrams,
            has_outside=has_outside,
        )


@dataclass(frozen=True)
class _Models:
    dense: Linear
    sparse: Linear


def _means(
    texts: Sequence[str], vectors: FloatMatrix, clouds: Mapping[str, FloatMatrix]
) -> dict[str, FloatMatrix]:
    """The centre of each writing system; one without examples gets the centre of all, moved to its own cloud."""
    scripts = np.array([dominant_script(text) for text in texts])
    overall = vectors.mean(axis=0)
    means: dict[str, FloatMatrix] = {ANY_SCRIPT: overall}
    shares = {script: float((scripts == script).mean()) for script in sorted(clouds)}
    if sum(shares.values()) > 0.5:
        usual = np.average([clouds[script] for script in shares], axis=0, weights=list(shares.values()))
        means |= {script: overall + clouds[script] - usual for script in shares}
    for script, count in sorted(Counter(scripts.tolist()).items()):
        if count >= TEXTS_FOR_A_MEAN:
            means[script] = vectors[scripts == script].mean(axis=0)
    return means


def _sparse_matrix(texts: Sequence[str], ngrams: CharacterNgrams) -> csr_matrix:
    rows = [ngrams.row(text) for text in texts]
    ends = np.cumsum([0] + [len(row.buckets) for row in rows])
    values = np.concatenate([row.weights for row in rows])
    columns = np.concatenate([row.buckets for row in rows])
    return csr_matrix((values, columns, ends), shape=(len(rows), len(ngrams.rarity)), dtype=np.float64)


def _fit_models(data: _Rows, rows: NDArray[np.int64], strength: float) -> _Models:
    """Labels without a row among `rows` get scores that never win."""
    # As texts: for whole numbers with few rows each, the library warns that they look like measurements.
    targets = data.targets[rows].astype(str)
    dense = LogisticRegression(C=strength, max_iter=120, tol=1e-3).fit(data.dense[rows], targets)
    sparse = LinearSVC(C=1.0, random_state=0, fit_intercept=False).fit(data.sparse[rows], targets)
    return _Models(_spread(dense, data.columns, absent=-30.0), _spread(sparse, data.columns, absent=-1.5))


def _spread(model: LogisticRegression | LinearSVC, columns: int, *, absent: float) -> Linear:
    coefficients = np.asarray(model.coef_)
    bias = np.broadcast_to(model.intercept_, len(coefficients))
    if len(model.classes_) == 2:
        # Two classes have one row of coefficients; split it evenly, so that both sides have a score.
        coefficients, bias = np.vstack([-coefficients, coefficients]) / 2, np.r_[-bias, bias] / 2
    weights = np.zeros((columns, coefficients.shape[1]), dtype=np.float32)
    offsets = np.full(columns, absent, dtype=np.float32)
    present = model.classes_.astype(int)
    weights[present], offsets[present] = coefficients, bias
    return Linear(weights, offsets)


def _tuning_rows(data: _Rows, seed: int) -> NDArray[np.int64]:
    """A sample that keeps every label; rows are taken from each label in turn until the sample is full."""
    order = np.random.default_rng(seed).permutation(len(data.targets))
    rank = _rank_within_label(data.targets[order])
    return np.sort(order[np.argsort(rank, kind="stable")][:TUNING_ROWS])


def _folds(targets: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The fold in which a row is held out; -1 for the only example of a label."""
    order = np.random.default_rng(seed).permutation(len(targets))
    folds = np.empty(len(targets), dtype=np.int64)
    folds[order] = _rank_within_label(targets[order]) % FOLDS
    sizes = np.bincount(targets)
    folds[sizes[targets] == 1] = -1
    return folds


def _rank_within_label(targets: NDArray[np.int64]) -> NDArray[np.int64]:
    seen: Counter[int] = Counter()
    rank = np.empty(len(targets), dtype=np.int64)
    for position, target in enumerate(targets.tolist()):
        rank[position] = seen[target]
        seen[target] += 1
    return rank


@dataclass(frozen=True)
class _HeldOut:
    """Scores of rows by models that had not seen them."""

    rows: NDArray[np.int64]
    dense: FloatMatrix
    sparse: FloatMatrix
    near: FloatMatrix
    near_outside: FloatMatrix | None


def _tune(data: _Rows, tuning: NDArray[np.int64], seed: int) -> tuple[float, Blend, _HeldOut | None]:
    folds = _folds(data.targets[tuning], seed)
    if (folds >= 0).sum() < 2 * FOLDS:
        return STRENGTHS[-1], UNTUNED, None
    best: tuple[float, float, Blend, _HeldOut] | None = None
    for strength in STRENGTHS:
        parts = [
            _score_unseen(data, tuning[folds != fold], tuning[folds == fold], strength)
            for fold in range(FOLDS)
            if (folds == fold).any()
        ]
        held_out = _joined(parts)
        loss, blend = _blend(held_out, data.targets)
        if best is None or loss < best[0]:
            best = (loss, strength, blend, held_out)
    assert best is not None
    return best[1], best[2], best[3]


def _blend(held_out: _HeldOut, targets: NDArray[np.int64]) -> tuple[float, Blend]:
    answers = targets[held_out.rows]

    def loss(weights: NDArray[np.float64]) -> float:
        logs = log_softmax(weights[0] * held_out.dense + weights[1] * held_out.sparse)
        return -float(logs[np.arange(len(answers)), answers].mean())

    found = minimize(loss, np.array([1.0, 0.5]), method="L-BFGS-B", bounds=[(0.05, 20.0), (0.0, 20.0)])
    return float(found.fun), Blend(dense=round(float(found.x[0]), 4), sparse=round(float(found.x[1]), 4))


def _score_unseen(
    data: _Rows, seen: NDArray[np.int64], unseen: NDArray[np.int64], strength: float
) -> _HeldOut:
    models = _fit_models(data, seen, strength)
    centred = data.dense[unseen]
    known = seen[data.targets[seen] < len(data.names)]
    outside = seen[data.targets[seen] == len(data.names)]
    return _HeldOut(
        rows=unseen,
        dense=log_softmax(centred @ models.dense.weights.T + models.dense.bias),
        sparse=(data.sparse[unseen] @ models.sparse.weights.T + models.sparse.bias).astype(np.float32),
        near=nearness(centred, data.dense[known]),
        near_outside=nearness(centred, data.dense[outside]) if data.has_outside else None,
    )


def _joined(parts: Sequence[_HeldOut]) -> _HeldOut:
    outside = [part.near_outside for part in parts if part.near_outside is not None]
    return _HeldOut(
        rows=np.concatenate([part.rows for part in parts]),
        dense=np.concatenate([part.dense for part in parts]),
        sparse=np.concatenate([part.sparse for part in parts]),
        near=np.concatenate([part.near for part in parts]),
        near_outside=np.concatenate(outside) if outside else None,
    )


def _kept(data: _Rows, chosen: NDArray[np.bool_], closed: bool) -> FloatMatrix:
    return restored(*quantised(data.dense[chosen][: 0 if closed else None]))


def _no_judgement(data: _Rows) -> Novelty:
    """Nothing to learn from: every text gets the assumed share, and no text is turned away."""
    columns = SIGNALS_WITH_OUTSIDE if data.has_outside else SIGNALS
    return Novelty((0.0,) * columns, float(np.log(OUTSIDE_SHARE / (1 - OUTSIDE_SHARE))), threshold=1.0)


def _fit_novelty(
    data: _Rows, tuning: NDArray[np.int64], held_out: _HeldOut, *, strength: float, blend: Blend, seed: int
) -> Novelty:
    strangers = _left_out_labels(data, tuning, strength, seed)
    if strangers is None and not data.has_outside:
        return _no_judgement(data)
    belongs = data.targets[held_out.rows] < len(data.names)
    answers = _blended(held_out, blend)[:, : len(data.names)].argmax(axis=1)
    right = belongs & (answers == data.targets[held_out.rows])
    rows, weight, outside = _signals_of(held_out, blend), _shares(belongs, strangers is not None), ~belongs
    if strangers is not None:
        count = len(strangers.rows)
        share = OUTSIDE_SHARE * (SHARE_OF_LEFT_OUT_LABELS if data.has_outside else 1.0)
        rows = np.concatenate([rows, _signals_of(strangers, blend)])
        weight = np.concatenate([weight, np.full(count, share / count)])
        outside = np.concatenate([outside, np.ones(count, dtype=bool)])
        right = np.concatenate([right, np.zeros(count, dtype=bool)])
    return _logistic(rows, outside, weight, right)


def _shares(belongs: NDArray[np.bool_], with_strangers: bool) -> NDArray[np.float64]:
    share = 1 - SHARE_OF_LEFT_OUT_LABELS if with_strangers else 1.0
    count = max(int((~belongs).sum()), 1)
    return np.where(belongs, (1 - OUTSIDE_SHARE) / belongs.sum(), OUTSIDE_SHARE * share / count)


def _signals_of(held_out: _HeldOut, blend: Blend) -> NDArray[np.float64]:
    return signals(_blended(held_out, blend), held_out.near, held_out.near_outside)


def _blended(held_out: _HeldOut, blend: Blend) -> FloatMatrix:
    scores: FloatMatrix = blend.dense * held_out.dense + blend.sparse * held_out.sparse
    return scores


def _left_out_labels(data: _Rows, tuning: NDArray[np.int64], strength: float, seed: int) -> _HeldOut | None:
    if len(data.names) < 2 * FOLDS:
        return None
    group = np.random.default_rng(seed).permutation(len(data.names)) % FOLDS
    # Outside texts stay in every part: their group is none.
    groups = np.r_[group, -1][data.targets[tuning]]
    return _joined(
        [
            _score_unseen(data, tuning[groups != part], tuning[groups == part], strength)
            for part in range(FOLDS)
        ]
    )


def _logistic(
    rows: NDArray[np.float64],
    outside: NDArray[np.bool_],
    weight: NDArray[np.float64],
    right: NDArray[np.bool_],
) -> Novelty:
    mean, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    model = LogisticRegression(C=1.0, max_iter=500).fit(
        (rows - mean) / spread, outside, sample_weight=weight * len(weight)
    )
    weights = np.asarray(model.coef_)[0] / spread
    bias = float(model.intercept_[0]) - float(weights @ mean)
    chance = 1 / (1 + np.exp(-(rows @ weights + bias)))
    return Novelty(
        tuple(round(float(w), 5) for w in weights), round(bias, 5), _threshold(chance, outside, weight, right)
    )


def _threshold(
    chance: NDArray[np.float64],
    outside: NDArray[np.bool_],
    weight: NDArray[np.float64],
    right: NDArray[np.bool_],
) -> float:
    """The highest cut whose share of messages treated rightly (strangers refused, others given the right label) is as good
    as the best but for `AS_GOOD`: a customer who is turned away with a question of ours loses more than one who is asked
    what is meant. The best itself jumps about with a few examples more, or with another processor's rounding. (The rule
    of one standard error: Breiman et al., Classification and Regression Trees, 1984, section 3.4.3.)
    """
    cuts = np.linspace(chance.min(), chance.max(), CUTS)
    gains = np.array([float((weight * np.where(chance > cut, outside, right)).sum()) for cut in cuts])
    return round(float(cuts[np.flatnonzero(gains >= gains.max() - AS_GOOD)[-1]]), 5)
