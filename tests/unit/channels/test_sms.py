"""What all SMS channels share: segments, keywords, cuts, and who asked us to stop."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.contract import Surroundings
from channels.families.sms import (
    HELP,
    OPT_IN,
    OPT_OUT,
    OptOuts,
    cut,
    e164,
    keywords,
    measure,
    numbered,
    one_line,
)
from channels.platforms.shelf import shelf_table
from foundation import errors
from foundation.live import Hub
from foundation.messages import Identifier, InboundMessage, MessageId, TenantId
from foundation.security import Vault
from foundation.storage.database import Database
from tests.conftest import StandingClock


@pytest.mark.parametrize(
    ("text", "encoding", "units", "segments"),
    [
        ("", "gsm7", 0, 1),
        ("a" * 160, "gsm7", 160, 1),
        ("a" * 161, "gsm7", 161, 2),
        ("a" * 306, "gsm7", 306, 2),
        ("a" * 307, "gsm7", 307, 3),
        ("€" * 80, "gsm7", 160, 1),
        ("a" * 152 + "€" + "a" * 10, "gsm7", 164, 2),
        ("a" * 152 + "€" + "a" * 152, "gsm7", 306, 3),  # the euro sign does not fit at the border
        ("中" * 70, "ucs2", 70, 1),
        ("中" * 71, "ucs2", 71, 2),
        ("中" * 134, "ucs2", 134, 2),
        ("中" * 66 + "\U0001f600" + "中" * 66, "ucs2", 134, 3),  # nor does half an emoji
        ("`", "ucs2", 1, 1),
    ],
)
def test_segments_are_counted_as_they_are_charged(
    text: str, encoding: str, units: int, segments: int
) -> None:
    length = measure(text)
    assert (length.encoding, length.units, length.segments) == (encoding, units, segments)


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("STOP", OPT_OUT), (" stop. ", OPT_OUT), ("ＳＴＯＰ！", OPT_OUT), ("Stop All", OPT_OUT), ("退订", OPT_OUT), ("退訂。", OPT_OUT),
        ("TD", OPT_OUT), ("T", OPT_OUT), ("Unsubscribe", OPT_OUT), ("取消订阅", OPT_OUT), ("START", OPT_IN), ("订阅", OPT_IN),
        ("stop the delivery", ""), ("怎么退订会员？", ""), ("N", ""), ("no", ""), ("cancel", ""), ("help", ""), ("", ""), ("👍", ""),
        ("退订" * 1000, ""),
    ],
)  # fmt: skip
def test_keyword_is_told_when_it_is_the_whole_message(text: str, event: str) -> None:
    assert keywords().event_of(text) == event


def test_everyday_words_stop_only_where_the_platform_blocks_by_them() -> None:
    blocking = keywords(platform_blocks=True, helps=True)
    assert [blocking.event_of(text) for text in ("Cancel", "END", "info")] == [OPT_OUT, OPT_OUT, HELP]


@given(st.text(max_size=60))
def test_any_text_is_measured_and_compared_without_an_error(text: str) -> None:
    assert measure(text).segments >= 1
    assert keywords().event_of(text) in ("", OPT_OUT, OPT_IN)


@given(st.text(max_size=200), st.integers(5, 80), st.booleans(), st.sampled_from(["zh", "en"]))
def test_cut_text_fits_and_says_that_it_is_cut(text: str, limit: int, more: bool, language: str) -> None:
    short, was_cut = cut(text, limit, language, more=more)
    assert len(short) <= limit
    assert was_cut == (len(text) > limit or more)
    assert ("…" in short) if was_cut else short == text


def test_notice_is_in_the_language_of_the_reply() -> None:
    assert cut("中" * 50, 35, "zh-TW")[0] == "中" * 26 + "…（余下未能发出）"
    assert cut("word " * 20, 35, "en")[0].endswith(" (rest not sent)")


def test_part_says_its_place_only_among_several() -> None:
    assert numbered("hi", 0, 1) == "hi"
    assert numbered("hi", 1, 3) == "(2/3) hi"
    assert one_line(" a\n\nb\tc ") == "a b c"


@pytest.mark.parametrize(
    ("number", "country", "plain"),
    [
        ("13800138000", "86", "+8613800138000"),
        ("8613800138000", "86", "+8613800138000"),
        ("+1 (500) 555-0006", "", "+15005550006"),
        ("0085291234567", "86", "+85291234567"),
        ("HUILIU", "86", ""),
        ("", "86", ""),
        ("138", "", ""),
        ("１３８００１３８０００", "86", ""),
    ],
)
def test_number_gets_its_international_form(number: str, country: str, plain: str) -> None:
    assert e164(number, country) == plain


def wish(event: str, at: datetime, number: str = "+8613800138000") -> InboundMessage:
    return InboundMessage(
        tenant=TenantId("demo"), channel="sms_x", account="main", thread=number, message_id=MessageId("m"), kind="event",
        event=event, sent_at=at, sender=(Identifier(namespace="sms_x:a", value=number, proven=True),),
    )  # fmt: skip


NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


@pytest.fixture
def surroundings(database: Database, vault: Vault, clock: StandingClock) -> Surroundings:
    return Surroundings(TenantId("demo"), "https://care.example.com", database, vault, Hub(), clock)


async def test_everybody_is_free_until_they_stop_and_after_they_start_again(
    surroundings: Surroundings,
) -> None:
    one, other = OptOuts("sms_x", surroundings), OptOuts("sms_x", surroundings)
    await one.check("+8613800138000")
    await one.remember([wish(OPT_OUT, NOW)])
    for process in (one, other):
        with pytest.raises(errors.UpstreamRefused) as refused:
            await process.check("8613800138000")
        assert refused.value.code == "sms_x_opted_out"
    await other.check("+8613800138001")
    await other.remember([wish(OPT_IN, NOW + timedelta(seconds=5))])
    await one.check("+8613800138000")


async def test_late_repetition_of_an_older_wish_changes_nothing(surroundings: Surroundings) -> None:
    opt_outs = OptOuts("sms_x", surroundings)
    await opt_outs.remember([wish(OPT_IN, NOW)])
    await opt_outs.remember([wish(OPT_OUT, NOW - timedelta(minutes=5))])
    await opt_outs.check("+8613800138000")


async def test_stored_wish_names_nobody(surroundings: Surroundings, database: Database) -> None:
    await OptOuts("sms_x", surroundings).remember([wish(OPT_OUT, NOW)])
    rows = await database.read(lambda connection: connection.execute(shelf_table.select()).all())
    assert len(rows) == 1
    assert "13800138000" not in repr(rows)
