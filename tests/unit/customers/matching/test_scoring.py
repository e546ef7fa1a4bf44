"""The scorer: conditions, weights, frequencies, explanations, populations; one pair and many at once agree."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers.matching import batches, comparisons, features, models, online, scorer, trainer
from customers.matching.models import Comparison, Frequency, Level, Model, Offset
from customers.matching.scorer import Scorer
from foundation import errors

MISSING = Level("missing", '"x_l" IS NULL OR "x_r" IS NULL', missing=True)
SAME = Level("same", '"x_l" = "x_r"', m=0.8, u=0.1, frequency=Frequency("x", 0.1, 1.0, 0.01))
NEAR = Level("near", 'jaro_winkler_similarity("x_l", "x_r") >= 0.8', m=0.15, u=0.1)
OTHER = Level("other", "ELSE", m=0.05, u=0.8)
ONE = Comparison("x", (MISSING, SAME, NEAR, OTHER))
MODEL = Model(
    (ONE,), (("x",),), prior=0.01, population=1000, match_share=0.5, frequencies={"x": {"wang": 0.4, "ouyang": 0.0001}}
)  # fmt: skip

PERSON = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(
            ["张伟", "章玮", "Zhang Wei", "Wei Zhang", "王先生", "小伟", "李娜", "欧阳娜娜"]
        ),
        "phone": st.sampled_from(["13912345679", "139****5679", "13712345670"]),
        "email": st.sampled_from(["zw88@qq.com", "zw88@163.com", "zw881@qq.com", "other@qq.com"]),
        "address": st.sampled_from(["北京市朝阳区建国路88号", "朝阳区建国路88号", "上海市静安区南京路1号"]),
        "birth_date": st.sampled_from(["1990-01-02", "1990-01-03", "1985-07-09"]),
        "ip": st.sampled_from(["8.8.8.8", "8.8.8.9", "1.1.1.1"]),
        "company": st.sampled_from(["汇流科技", "汇流科技公司", "另一家"]),
    },
)


@pytest.mark.parametrize(
    ("condition", "left", "right", "met"),
    [
        ('"x_l" = "x_r"', {"x": "a"}, {"x": "a"}, True),
        ('"x_l" = "x_r"', {}, {}, False),
        ("x_l = y_r AND y_l = x_r", {"x": "a", "y": "b"}, {"x": "b", "y": "a"}, True),
        ("levenshtein(x_l, x_r) <= 1", {"x": "1990-01-02"}, {"x": "1990-01-03"}, True),
        ("levenshtein(x_l, x_r) <= 1", {"x": "ab"}, {"x": "ba"}, False),
        ("damerau_levenshtein(x_l, x_r) <= 1", {"x": "ab"}, {"x": "ba"}, True),
        ("jaro_winkler_similarity(x_l, x_r) >= 0.9", {"x": ""}, {"x": ""}, False),
        ("jaro_winkler_similarity(x_l, x_r) >= 0.96", {"x": "martha"}, {"x": "marhta"}, True),
        ("(x_l IS NOT NULL OR y_l IS NULL) AND x_r IS NULL", {"y": "a"}, {}, False),
        ("x_l = 'it''s'", {"x": "it's"}, {}, True),
    ],
)
def test_condition_means_what_it_says(
    condition: str, left: dict[str, str], right: dict[str, str], met: bool
) -> None:
    assert comparisons.compile_condition(condition)(left, right) is met
    pair = batches.Pairs(batches.Table([left, right]), np.array([0]), np.array([1]))
    assert bool(comparisons.parse_condition(condition, batches.ManyPairs())(pair)[0]) is met


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "x_l",
        "NOT x_l = x_r",
        "x_l = x_r; DROP TABLE y",
        "soundex(x_l) = 1",
        "x_l = x_r AND",
        "(x_l = x_r",
        "1 = 1 1",
    ],
)
def test_condition_outside_the_subset_is_refused(condition: str) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        comparisons.compile_condition(condition)
    assert refused.value.code == "bad_condition"


@given(text=st.text("xyl_r=<>()\"' 01.,ANDORISULelvtj", max_size=40))
def test_any_condition_is_compiled_or_refused(text: str) -> None:
    with suppress(errors.InvalidInput):
        comparisons.compile_condition(text)


@given(people=st.lists(PERSON, min_size=2, max_size=6))
def test_many_pairs_at_once_score_as_one_pair_does(people: list[dict[str, str]]) -> None:
    model = replace(online.starting_model(), frequencies={"name_py": {"zhangwei": 0.2}, "surname_py": {}})
    records = [features.derive_columns(person) for person in people]
    left, right = np.triu_indices(len(records), 1)
    weights = trainer.weights_of(model, batches.Pairs(batches.Table(records), left, right))
    one = Scorer(model)
    alone = [one.evidence(records[a], records[b]) for a, b in zip(left, right, strict=True)]
    assert np.abs(weights - np.array(alone)).max() < 1e-9


@given(one=PERSON, two=PERSON)
def test_score_does_not_depend_on_who_is_first(one: dict[str, str], two: dict[str, str]) -> None:
    left, right = features.derive_columns(one), features.derive_columns(two)
    scoring = Scorer(online.starting_model())
    assert scoring.bits(left, right) == pytest.approx(scoring.bits(right, left))


@given(one=PERSON, two=PERSON)
def test_explanation_adds_up_and_names_no_value(one: dict[str, str], two: dict[str, str]) -> None:
    left, right = features.derive_columns(one), features.derive_columns(two)
    scoring = Scorer(online.starting_model(), 50_000)
    explained = scoring.explain(left, right)
    assert sum(reason.bits for reason in explained.reasons) + scoring.prior_bits == pytest.approx(
        explained.bits
    )
    assert explained.bits == pytest.approx(scoring.bits(left, right))
    words = " ".join(f"{reason.comparison} {reason.label}" for reason in explained.reasons)
    assert words.isascii()
    assert not any(sign.isdigit() for sign in words)


def test_rare_value_says_more_than_a_common_one_down_to_the_floor() -> None:
    scoring = Scorer(MODEL)
    common, rare = (
        scoring.evidence({"x": "wang"}, {"x": "wang"}),
        scoring.evidence({"x": "ouyang"}, {"x": "ouyang"}),
    )
    assert common == pytest.approx(math.log2(0.8 / 0.4))
    assert rare == pytest.approx(math.log2(0.8 / 0.01))
    assert scoring.evidence({"x": "li"}, {"x": "li"}) == pytest.approx(math.log2(0.8 / 0.1))


def test_missing_values_say_nothing() -> None:
    assert Scorer(MODEL).evidence({}, {"x": "wang"}) == 0.0


def test_ten_times_the_people_make_a_pair_ten_times_less_likely() -> None:
    small, large = Scorer(MODEL, 1_000), Scorer(MODEL, 10_000)
    pair: tuple[dict[str, str], dict[str, str]] = ({"x": "wang"}, {"x": "wang"})
    assert small.bits(*pair) - large.bits(*pair) == pytest.approx(math.log2(10), abs=0.01)
    assert small.for_population(10_000).bits(*pair) == large.bits(*pair)


def test_learned_layer_moves_with_the_population_and_is_explained() -> None:
    learned = MODEL.with_offset(Offset(0.5, 0.7, {"x/1": 0.3}))
    pair: tuple[dict[str, str], dict[str, str]] = ({"x": "wang"}, {"x": "wang"})
    bits = Scorer(learned).bits(*pair)
    assert bits == pytest.approx((0.5 + 0.7 * Scorer(MODEL).bits(*pair) + 0.3) / math.log(2))
    shift = Scorer(MODEL, 10_000).prior_bits - Scorer(MODEL).prior_bits
    assert Scorer(learned, 10_000).bits(*pair) == pytest.approx(bits + shift)
    assert Scorer(learned).explain(*pair).reasons[0].comparison in {"x", "learned"}


def test_model_comes_back_from_its_json_the_same() -> None:
    learned = MODEL.with_offset(Offset(0.5, 0.7, {"x/1": 0.3}))
    assert models.parse(learned.to_json()) == learned
    assert models.parse(online.starting_model().to_json()) == online.starting_model()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": "huiliu-match/1"}', '{"probability_two_random_records_match": 0.1}', "null"],
)
def test_what_is_no_model_is_refused(text: str) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        models.parse(text)
    assert refused.value.code == "bad_model"


def test_splinks_json_is_read_with_its_own_rules() -> None:
    levels = [
        {"sql_condition": '"x_l" IS NULL OR "x_r" IS NULL', "is_null_level": True},
        {"sql_condition": '"x_l" = "x_r"', "m_probability": 0.8, "u_probability": 0.1, "tf_adjustment_column": "x", "tf_adjustment_weight": 0.5},
        {"sql_condition": 'levenshtein("x_l", "x_r") <= 1', "m_probability": "level not observed in training dataset", "u_probability": 0.1},
        {"sql_condition": "ELSE", "m_probability": 0.1, "u_probability": 0.8},
    ]  # fmt: skip
    body = {
        "probability_two_random_records_match": 0.001,
        "comparisons": [{"output_column_name": "x", "comparison_levels": levels}],
    }
    assert models.parse(json.dumps(body)).source == "splink"
    scoring = Scorer(models.parse_splink(body, frequencies={"x": {"wang": 0.4}}))
    assert scoring.evidence({"x": "wang"}, {"x": "wang"}) == pytest.approx(3.0 + 0.5 * math.log2(0.1 / 0.4))
    assert scoring.evidence({"x": "li"}, {"x": "li"}) == pytest.approx(3.0)
    assert scoring.evidence({"x": "li"}, {"x": "lin"}) == pytest.approx(math.log2(1e-6 / 0.1))


def test_weights_that_rise_with_less_likeness_are_found() -> None:
    assert scorer.check(MODEL) == []
    assert scorer.check(online.starting_model()) == []
    turned = replace(ONE, levels=(MISSING, replace(SAME, m=0.01), NEAR, OTHER))
    problems = " ".join(scorer.check(replace(MODEL, comparisons=(turned,))))
    assert "'near'" in problems
    assert "'same'" in problems
    assert scorer.check(MODEL.with_offset(Offset(0.0, -0.2))) != []


@given(bits=st.floats(-1e6, 1e6))
def test_probability_is_one_for_any_weight(bits: float) -> None:
    assert 0.0 <= scorer.probability_of(bits) <= 1.0
