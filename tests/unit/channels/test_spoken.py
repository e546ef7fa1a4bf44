"""What a voice says of a reply: nothing that can only be read, no more than one listens to, and nothing lost."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels import degrade
from channels.contract import Capabilities, Part
from channels.families.speakers import spoken
from foundation.messages import ConversationId, MessageId, OutboundMessage, Reply, TenantId


def parts(text: str, language: str = "en") -> list[Part]:
    message = OutboundMessage(
        tenant=TenantId("demo"), channel="x", account="", conversation_id=ConversationId("c"),
        message_id=MessageId("m"), recipient="r", role="bot", reply=Reply(text=text, language=language),
    )  # fmt: skip
    return degrade.fit(message, Capabilities(text_limit=7000))


def test_address_is_not_read_out_and_the_listener_learns_where_it_is() -> None:
    said = spoken.aloud("See [the form](https://shop.example.com/f?x=1) or https://shop.example.com/g.", "en")
    assert said == "See the form or a link. You find the link in our web chat."
    said = spoken.aloud("请看[退货页](https://shop.example.com/f)。", "zh")
    assert said == "请看退货页。链接请到我们的网页客服查看。"


def test_markdown_lists_and_emoji_become_sentences() -> None:
    assert spoken.aloud("**Two ways**\n- by post 📦\n- in the shop", "en") == "Two ways. by post. in the shop"
    assert spoken.aloud("两种办法：\n\n- 邮寄\n- 到店", "zh") == "两种办法：邮寄。到店"
    assert spoken.aloud("[图片] 发票", "zh") == "图片：发票"


def test_short_reply_ends_with_a_question_because_the_line_stays_open() -> None:
    assert spoken.say(parts("It ships today."), "en", limit=600).text == "It ships today. Anything else?"
    assert spoken.say(parts("Which order?"), "en", limit=600).text == "Which order?"
    assert spoken.say(parts("今天发出", "zh"), "en", limit=600).text == "今天发出。还有什么可以帮您？"


def test_long_reply_is_said_in_turns_until_nothing_is_left() -> None:
    sentences = [f"Sentence number {number} says something." for number in range(60)]
    speech = spoken.say(parts(" ".join(sentences)), "en", limit=300)
    heard = [speech.text]
    while spoken.REST in speech.memory:
        assert len(speech.text) <= 300 + len(" " + spoken.word("more", "en"))
        speech = spoken.portion(speech.memory[spoken.REST], "en", limit=300)
        heard.append(speech.text)
    told = " ".join(heard).replace(f" {spoken.word('more', 'en')}", "").removesuffix(" Anything else?")
    assert told == " ".join(sentences)


def test_end_of_a_very_long_reply_is_named_instead_of_dropped() -> None:
    speech = spoken.say(parts("很长的说明。" * 1000, "zh"), "zh", limit=200)
    assert len(speech.memory[spoken.REST]) <= spoken.REST_LIMIT
    assert speech.memory[spoken.REST].endswith(spoken.word("too_long", "zh"))


def test_rest_is_named_at_once_where_nothing_is_remembered() -> None:
    speech = spoken.say(parts("很长的说明。" * 100, "zh"), "zh", limit=200, remembers=False)
    assert speech.text.endswith(spoken.word("too_long", "zh"))
    assert not speech.memory


def test_silence_is_asked_once_and_then_let_go() -> None:
    first = spoken.silence("en", {spoken.REST: "more"})
    assert first.keeps_open
    assert first.memory[spoken.REST] == "more"
    assert not spoken.silence("en", first.memory).keeps_open


@pytest.mark.parametrize("text", ["go on", "Go on.", "接着说", "接着说！", "继续"])
def test_words_that_go_on_are_known(text: str) -> None:
    assert spoken.goes_on(text)


@pytest.mark.parametrize("text", ["", "go on a trip", "继续退货", "…"])
def test_other_words_do_not_go_on(text: str) -> None:
    assert not spoken.goes_on(text)


@pytest.mark.parametrize("attributes", [None, [], "x", {"rest": 1, "waiting": None}, {"foreign": "x"}])
def test_memory_is_empty_when_the_platform_brings_something_else(attributes: object) -> None:
    assert spoken.remembered(attributes) == {}


@given(st.text(max_size=500), st.sampled_from(["zh", "en"]))
def test_nothing_said_holds_an_address_or_a_line_break(text: str, language: str) -> None:
    said = spoken.aloud(f"{text}\nhttps://a.example.com/x\n{text}", language)
    assert "\n" not in said
    assert not re.search(r"https?://", said)
