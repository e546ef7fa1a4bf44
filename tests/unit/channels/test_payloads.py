"""Payloads of strangers are read with care, and addresses in them are never trusted by their look."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.contract import BODY_LIMIT
from channels.platforms.payloads import child, digest, items, moment, parse, words
from foundation import errors
from tests.fakes.specimens.contract import NOW


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"7",
        b"null",
        b'"x"',
        b"{",
        b"\xff\xfe{\x00}\x00",
        b'{"a":' * 10_000,
        b" " * (BODY_LIMIT + 1),
    ],
)
def test_everything_but_an_object_is_refused(body: bytes) -> None:
    with pytest.raises(errors.UnreadablePayload):
        parse(body, "the platform")


def test_half_an_emoji_becomes_a_mark_and_a_whole_one_stays() -> None:
    assert parse(b'{"a":"\\ud83d","b":"\\ud83d\\udce6"}', "the platform") == {
        "a": "\ufffd",
        "b": "\U0001f4e6",
    }


def test_values_of_another_type_read_as_nothing() -> None:
    found = {"a": {"b": 7, "c": None, "d": ["x", {"e": "f"}], "g": True, "h": 1.5}, "i": "text"}
    assert [words(found, "a", name) for name in "bcdgh"] == ["7", "", "", "", ""]
    assert (words(found, "i", "x"), child(found, "i"), child(found, "a", "b")) == ("", {}, {})
    assert items(child(found, "a"), "d") == [{"e": "f"}]
    assert items(found, "i") == []


@pytest.mark.parametrize("seconds", ["", "x", "nan", "inf", "-1", "1e30", -5.0])
def test_moment_without_sense_is_when_it_came(seconds: float | str) -> None:
    assert moment(seconds, NOW) == NOW


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_digest_tells_parts_apart(left: list[str], right: list[str]) -> None:
    clean = [[part.replace("\0", "") for part in side] for side in (left, right)]
    assert (digest(*clean[0]) == digest(*clean[1])) == ("\0".join(clean[0]) == "\0".join(clean[1]))
