"""Fitting a reply to a channel, and understanding the number that comes back."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels import degrade
from channels import text as texts
from channels.contract import Capabilities
from foundation.messages import (
    Attachment,
    Choice,
    Citation,
    ConversationId,
    MessageId,
    OutboundMessage,
    Reply,
    TenantId,
)

CHOICES = tuple(Choice(label=label, value=value) for label, value in (("退货", "return"), ("换货", "exchange"), ("维修", "repair")))  # fmt: skip
CITATION = Citation(article="returns", title="七天无理由退货", version=3, quote="签收后 7 天内……")
PICTURE = Attachment(kind="image", url="https://shop.cn/p.png", name="面单")
PLAIN = Capabilities(text_limit=600, text_unit="bytes")
RICH = Capabilities(text_limit=5000, buttons=3, markdown=True, media=frozenset({"image"}), citations="native")


def outbound(text: str = "好的", language: str = "zh", **reply: object) -> OutboundMessage:
    return OutboundMessage(
        tenant=TenantId("demo"), channel="x", account="a", conversation_id=ConversationId("c"),
        message_id=MessageId("m"), recipient="r", role="bot",
        reply=Reply.model_validate({"text": text, "language": language, **reply}),
    )  # fmt: skip


def test_everything_stays_native_when_the_channel_shows_it() -> None:
    (part,) = degrade.fit(
        outbound("**好**", choices=CHOICES, citations=(CITATION,), attachments=(PICTURE,)), RICH
    )
    assert part.text == part.message.reply.text == "**好**"
    assert part.message.reply.choices == CHOICES
    assert part.message.reply.citations == (CITATION,)
    assert part.message.reply.attachments == (PICTURE,)


def test_everything_is_said_aloud_when_the_channel_shows_nothing() -> None:
    (part,) = degrade.fit(
        outbound("请选择", choices=CHOICES, citations=(CITATION,), attachments=(PICTURE,)), PLAIN
    )
    lines = part.text.split("\n")
    assert "[图片] 面单 https://shop.cn/p.png" in lines
    assert lines[lines.index("回复数字选择：") + 1 :][:3] == ["1. 退货", "2. 换货", "3. 维修"]
    assert lines[-1] == "来源: 《七天无理由退货》"
    bare = part.message.reply
    assert [bare.choices, bare.citations, bare.attachments] == [(), (), ()]


def test_words_are_english_when_the_reply_is() -> None:
    (part,) = degrade.fit(outbound("Choose", "en", choices=CHOICES, citations=(CITATION,)), PLAIN)
    assert "Reply with a number:" in part.text
    assert part.text.endswith("Source: “七天无理由退货”")


def test_choices_are_numbered_when_they_are_more_than_the_buttons() -> None:
    four = (*CHOICES, Choice(label="其他", value="other"))
    (part,) = degrade.fit(outbound(choices=four), RICH)
    assert part.message.reply.choices == ()
    assert "4. 其他" in part.text


def test_sources_are_left_out_only_when_the_channel_says_none() -> None:
    (part,) = degrade.fit(outbound(citations=(CITATION,)), Capabilities(text_limit=500, citations="none"))
    assert part.text == "好的"


def test_buttons_come_with_the_last_part_when_the_text_is_split() -> None:
    capabilities = Capabilities(text_limit=20, buttons=3)
    parts = degrade.fit(outbound("这是一句话。" * 12, choices=CHOICES), capabilities)
    assert len(parts) > 3
    assert [bool(part.message.reply.choices) for part in parts] == [False] * (len(parts) - 1) + [True]
    assert [(part.index, part.count) for part in parts] == [
        (index, len(parts)) for index in range(len(parts))
    ]


@pytest.mark.parametrize(
    ("markdown", "plain"),
    [
        ("**重要**：见[退货](https://a.cn/r)", "重要：见退货 (https://a.cn/r)"),
        ("- 一\n* 二\n1. 三", "• 一\n• 二\n1. 三"),
        ("## 标题\n> 引用", "标题\n引用"),
        ("[https://a.cn](https://a.cn)", "https://a.cn"),
        ("![图](https://a.cn/p.png)", "图 (https://a.cn/p.png)"),
        ("`HL_2026_01` 5*3*2 *斜*", "HL_2026_01 5*3*2 斜"),
        ("```\ncode\n```", "code"),
    ],
)
def test_markdown_reads_well_as_plain_text(markdown: str, plain: str) -> None:
    assert degrade.plain(markdown) == plain


@given(
    text=st.text(max_size=300),
    labels=st.lists(st.text(min_size=1, max_size=20), max_size=12),
    limit=st.integers(8, 200),
    unit=st.sampled_from(["bytes", "characters", "utf16"]),
)
def test_parts_fit_and_lose_nothing(text: str, labels: list[str], limit: int, unit: texts.Unit) -> None:
    capabilities = Capabilities(text_limit=limit, text_unit=unit, markdown=True)
    choices = tuple(Choice(label=label, value=label) for label in labels)
    parts = degrade.fit(outbound(text, choices=choices, citations=(CITATION,)), capabilities)
    assert all(texts.size(part.text, unit) <= limit for part in parts)
    assert all(part.text.strip() for part in parts)
    said = re.sub(r"\s", "", "".join(part.text for part in parts))
    for needed in (text, *labels, CITATION.title):
        assert re.sub(r"\s", "", needed) in said


@given(
    st.lists(
        st.text(alphabet="退换修理订单abc", min_size=1, max_size=6), min_size=1, max_size=10, unique=True
    )
)
def test_numbers_map_back_to_their_choices(labels: list[str]) -> None:
    choices = tuple(Choice(label=label, value=f"v-{label}") for label in labels)
    for number, choice in enumerate(choices, 1):
        for said in (str(number), chr(0xFF10 + number) if number < 10 else "10", chr(0x245F + number)):
            assert degrade.choice_of(said, choices) == choice
        assert degrade.choice_of(choice.label, choices) == choice
    assert degrade.choice_of(str(len(labels) + 1), choices) is None
    assert degrade.choice_of("0", choices) is None


@pytest.mark.parametrize(
    "said",
    ["2", " 2. ", "２", "②", "第二个", "第二個", "选2", "我要第2个吧", "2号", "二", "两", "换货", "exchange", "Option 2", "the second one", "2nd", "no. 2", "2）"],
)  # fmt: skip
def test_second_choice_is_understood(said: str) -> None:
    assert degrade.choice_of(said, CHOICES) == CHOICES[1]


@pytest.mark.parametrize("said", ["最后一个", "the last one", "3"])
def test_last_choice_is_understood(said: str) -> None:
    assert degrade.choice_of(said, CHOICES) == CHOICES[2]


@pytest.mark.parametrize(
    "said", ["", "   ", "22", "我有2个问题", "2026-11-25", "退货要几天？", "HL2", "一起退", "个", "第", "the"]
)
def test_other_texts_are_no_choice(said: str) -> None:
    assert degrade.choice_of(said, CHOICES) is None


def test_nothing_is_chosen_when_nothing_was_offered() -> None:
    assert degrade.choice_of("1", ()) is None
