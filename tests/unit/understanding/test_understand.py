"""One message through everything, with the shipped models and the real embedder."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from agent.understanding.trained import Models
from agent.understanding.understand import Understander, split_clauses
from foundation.embedders.contract import Embedder, FloatMatrix
from tests.unit.understanding.conftest import WEDNESDAY


class CountingEmbedder:
    """Passes everything on and remembers how many texts each call had."""

    def __init__(self, inner: Embedder) -> None:
        self._inner = inner
        self.calls: list[int] = []
        self.engine, self.dimensions = inner.engine, inner.dimensions

    async def embed_queries(self, texts: Sequence[str]) -> FloatMatrix:
        self.calls.append(len(texts))
        return await self._inner.embed_queries(texts)

    async def embed_passages(self, texts: Sequence[str]) -> FloatMatrix:
        return await self._inner.embed_passages(texts)


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("我想把昨天买的毛衣退掉", "return_request"),
        ("我想将件冷衫退返畀你哋", "return_request"),
        ("我想把毛衣退掉😡😡", "return_request"),
        ("請問運費怎麼算呢", "shipping_fee"),
        ("could you tell me where my package is", "order_status"),
        ("cnacel my order plz", "cancel_order"),
        ("帮我check一下我的order", "order_status"),
        ("呼叫人工客服", "human"),
        ("你好", "greeting"),
    ],
)
async def test_the_wish_is_named_in_every_spelling(
    understander: Understander, text: str, intent: str
) -> None:
    found = await understander.understand(text)
    assert (found.intent, found.status) == (intent, "sure")


@pytest.mark.parametrize(
    "text", ["明天北京天气怎么样", "write a python function", "聽日打唔打風呀", "帮我算一下15乘以17"]
)
async def test_no_intent_is_named_when_it_is_none_of_our_business(
    understander: Understander, text: str
) -> None:
    found = await understander.understand(text)
    assert (found.intent, found.intents, found.status) == (None, (), "out_of_scope")


async def test_two_wishes_are_heard_in_one_message(understander: Understander) -> None:
    found = await understander.understand("帮我取消这个订单。另外你们支持货到付款吗?")
    assert {one.intent for one in found.intents} == {"cancel_order", "payment"}


async def test_politeness_does_not_hide_the_wish(understander: Understander) -> None:
    found = await understander.understand("你好!请问运费怎么收?谢谢")
    assert found.intent == "shipping_fee"
    assert "thanks" in {one.act for one in found.acts}


async def test_the_message_is_embedded_in_one_call(embedder: Embedder, built: Models) -> None:
    counting = CountingEmbedder(embedder)
    understander = Understander(counting, built, today=lambda: WEDNESDAY)
    await understander.understand("我要退货")
    await understander.understand("取消订单。另外发票怎么开?")
    assert counting.calls == [1, 3]


async def test_the_vector_is_the_query_vector_of_the_normalised_message(
    understander: Understander, embedder: Embedder
) -> None:
    found = await understander.understand("點解仲未退錢畀我")
    assert np.array_equal(found.vector, (await embedder.embed_queries([found.normalised]))[0])


@pytest.mark.parametrize(
    ("text", "act"),
    [
        ("好的", "affirm"),
        ("嗯", "affirm"),
        ("係呀", "affirm"),
        ("ok", "affirm"),
        ("👍", "affirm"),
        ("唔系", "deny"),
        ("nope", "deny"),
        ("不用了", "deny"),
        ("算了不退了", "cancel"),
        ("never mind", "cancel"),
        ("不对,是另一个订单", "correction"),
        ("sorry, I meant the second one", "correction"),
        ("我已经说过了", "repetition"),
        ("how often must I repeat this", "repetition"),
        ("唔該晒", "thanks"),
        ("拜拜", "goodbye"),
    ],
)
async def test_short_answers_are_acts_without_context(
    understander: Understander, text: str, act: str
) -> None:
    found = await understander.understand(text)
    assert found.acts[0].act == act


async def test_a_wish_is_no_act(understander: Understander) -> None:
    assert (await understander.understand("运费多少钱")).acts == ()


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("第三次了,你们就是这么办事的?", "angry"),
        ("Well done, another week and still nothing. Useless.", "angry"),
        ("好担心赶不上女儿生日,怎么办", "anxious"),
        ("唉,本来很期待,结果挺失望的", "disappointed"),
        ("太喜欢了,谢谢你们", "happy"),
        ("收到的杯子有裂痕,想换一个", "neutral"),
        ("好嬲呀,你哋搞咩", "angry"),
    ],
)
async def test_a_feeling_is_heard(understander: Understander, text: str, label: str) -> None:
    found = (await understander.understand(text)).emotion
    assert found.label == label
    assert (found.valence < -0.3, found.valence > 0.3) == (
        label in ("angry", "anxious", "disappointed"),
        label == "happy",
    )


async def test_pictures_darken_the_feeling(understander: Understander) -> None:
    plain = (await understander.understand("还没发货")).emotion
    cross = (await understander.understand("还没发货😡")).emotion
    assert cross.scores["angry"] > plain.scores["angry"]
    assert cross.valence < plain.valence


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("让真人客服来", True),
        ("get me a human", True),
        ("我要同真人講", True),
        ("你是人工智能吗", False),
        ("人工费多少", False),
    ],
)
async def test_the_wish_for_a_person_is_told_from_words_about_persons(
    understander: Understander, text: str, wanted: bool
) -> None:
    assert ((await understander.understand(text)).wants_human > 0.5) == wanted


@pytest.mark.parametrize(
    ("text", "signal"),
    [
        ("你们这群王八蛋", "insult"),
        ("you idiots", "insult"),
        ("再不处理我就打12315", "legal_threat"),
        ("I will see you in court, my lawyer is informed", "legal_threat"),
        ("我要找記者曝光你們", "media_threat"),
        ("不想活了", "self_harm"),
    ],
)
async def test_an_alarming_word_is_reported(understander: Understander, text: str, signal: str) -> None:
    assert signal in (await understander.understand(text)).signals.names()


@pytest.mark.parametrize(
    "text", ["想死你们家的蛋糕了", "我妈的生日礼物", "垃圾袋多少钱", "express delivery", "这款手机全网通吗"]
)
async def test_harmless_words_raise_no_alarm(understander: Understander, text: str) -> None:
    assert (await understander.understand(text)).signals.names() == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "😀",
        "？？？",
        "\0",
        "\ud800",
        "a" * 10_000,
        "退" * 10_000,
        "\u202eلطلب",
        "<script>1</script>",
    ],
)
async def test_any_message_is_understood_somehow(understander: Understander, text: str) -> None:
    found = await understander.understand(text, previous_language="yue")
    assert found.text == text
    assert found.status in ("sure", "unsure", "out_of_scope")


async def test_the_json_form_is_plain_and_holds_no_vector(understander: Understander) -> None:
    found = (await understander.understand("SQ2024110033两件都退,昨天到的")).to_json()
    assert json.loads(json.dumps(found)) == found
    assert "vector" not in found
    assert found["slots"] == {"order_numbers": ["SQ2024110033"], "date": "2024-11-26", "quantity": 2}


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("我要退货", []),
        ("衣服小了,想换", []),
        ("取消订单。另外发票怎么开?", ["取消订单", "发票怎么开"]),
        ("我想退这件衣服,顺便问下运费谁出", ["我想退这件衣服", "问下运费谁出"]),
        ("where is my order? also do you ship to japan", ["where is my order", "do you ship to japan"]),
        ("", []),
    ],
)
def test_a_message_is_divided_only_where_another_thought_begins(text: str, clauses: list[str]) -> None:
    assert split_clauses(text) == clauses
