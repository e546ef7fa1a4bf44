"""Names: surnames with readings of their own, both orders, ü, honorifics, nicknames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers.matching import names, vocabulary


def columns(text: str) -> dict[str, str]:
    name = names.parse(text)
    return name.columns() if name else {}


def readings(text: str) -> set[str]:
    found = columns(text)
    return {found[key] for key in ("name_py", "name_alt") if key in found}


@pytest.mark.parametrize(
    ("han", "latin"),
    [
        ("曾伟", "Zeng Wei"), ("单雄信", "Shan Xiongxin"), ("仇英", "Qiu Ying"), ("查良镛", "Liangyong Zha"), ("解珍", "Xie Zhen"),
        ("区志强", "Ou Zhi Qiang"), ("覃辉", "Hui Qin"), ("吕布", "Lü Bu"), ("吕布", "Lv Bu"), ("吕布", "LYU, Bu"), ("欧阳娜娜", "Ouyang Nana"),
        ("歐陽娜娜", "nana OUYANG"), ("張偉", "zhangwei"), ("张晓明", "Xiao-Ming Zhang"), ("诸葛亮", "Liang Zhuge"), ("尉迟恭", "Yuchi Gong"),
    ],
)  # fmt: skip
def test_chinese_name_meets_its_latin_form_in_either_order(han: str, latin: str) -> None:
    assert readings(han) & readings(latin)


def test_table_of_surnames_has_every_reading_that_the_usual_one_misses() -> None:
    special = {sign for sign in vocabulary.surname_readings() if len(sign) == 1}
    assert {"曾", "单", "仇", "解", "查", "朴", "区", "乐", "盖", "覃"} <= special


@pytest.mark.parametrize(
    "text", ["王先生", "王女士", "小王", "老王", "王总", "Mr. Wang", "MS WANG", "王小姐（会员）"]
)
def test_honorific_leaves_the_surname_only(text: str) -> None:
    found = columns(text)
    assert found["surname_py"] == "wang"
    assert "name_py" not in found
    assert "given_py" not in found


@pytest.mark.parametrize("text", ["小伟", "阿伟", "伟伟"])
def test_nickname_keeps_the_end_of_the_given_name(text: str) -> None:
    found = columns(text)
    assert (found["nick"], found["given_tail"]) == ("wei", "wei")
    assert columns("张国伟")["given_tail"] == "wei"


def test_title_after_a_whole_name_is_dropped() -> None:
    assert columns("张卫国先生") == columns("张卫国")


def test_given_name_may_end_like_a_title() -> None:
    assert columns("张建工")["name_py"] == "zhangjiangong"


def test_english_short_name_meets_the_long_one() -> None:
    assert columns("Bill Gates")["given_tail"] == columns("William Gates")["given_tail"]


def test_lookalike_letters_in_a_latin_name_are_seen_through() -> None:
    assert columns("Аlex Сhen") == columns("Alex Chen")


@given(text=st.text(max_size=60))
def test_any_text_is_a_name_or_none(text: str) -> None:
    found = columns(text)
    assert all(isinstance(value, str) and value for value in found.values())


@given(text=st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=24))
def test_syllables_are_the_word(text: str) -> None:
    syllables = names.syllables_of(text)
    assert not syllables or len("".join(syllables)) <= len(text)
