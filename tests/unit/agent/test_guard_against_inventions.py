"""The guard lets through what a source says, and nothing that a model made up around it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import guard

REFUND_ZH = """仓库验收通过后 24 小时内退出，原路返回：微信和支付宝 1 天内到账，储蓄卡 1–3 个工作日，信用卡 3–7 个工作日。
| 付款方式 | 退出后多久到账 |
| 微信支付、支付宝余额 | 1 天内 |
| 储蓄卡 | 1–3 个工作日 |
| 信用卡、分期 | 3–7 个工作日 |
| 礼品卡、积分 | 立即 |
未发货取消的订单不需要验收，取消后 24 小时内退出。"""
REFUND_EN = """We send the refund within 24 hours after the goods pass the check, the way you paid: WeChat and Alipay arrive within 1 day, debit cards in 1–3 working days, credit cards in 3–7 working days.
Orders cancelled before shipping need no check; the refund is sent within 24 hours after cancelling."""
RETURN_ZH = "签收后 7 天内，商品完好的，可以无理由退货。定制商品、已拆封的耗材不支持无理由退货。运费由顾客承担，金卡会员由我们承担。"
SOURCES = [REFUND_ZH, REFUND_EN, RETURN_ZH]


@pytest.mark.parametrize(
    "sentence",
    [
        "仓库验收通过后24小时内退出,原路返回。",
        "微信和支付宝1天内到账。",
        "信用卡需要3到7个工作日到账。",
        "储蓄卡 1–3 个工作日。",
        "礼品卡立即到账。",
        "未发货取消的订单不需要验收。",
        "签收后七天内,商品完好的,可以无理由退货。",
        "定制商品不支持无理由退货。",
        "We send the refund within 24 hours after the goods pass the check.",
        "Credit cards take 3 to 7 working days.",
        "Debit cards arrive in 1-3 working days.",
        "Orders cancelled before shipping need no check.",
    ],
)
def test_a_sentence_stays_when_a_source_says_it(sentence: str) -> None:
    assert guard.is_supported(sentence, SOURCES)


@pytest.mark.parametrize(
    "sentence",
    [
        # numbers, units and who they belong to
        "仓库验收通过后48小时内退出。",
        "仓库验收通过后24天内退出。",
        "信用卡1天内到账。",
        "微信3–7个工作日到账。",
        "信用卡3–7个自然日到账。",
        "储蓄卡 3 个工作日。",
        "签收后十五天内可以无理由退货。",
        "WeChat takes 3-7 working days.",
        "Credit cards take 1 day.",
        "Credit cards take 7 working days.",
        "Refunds are sent within 24 days after the check.",
        # the opposite
        "未发货取消的订单需要验收。",
        "仓库验收不通过后24小时内退出。",
        "定制商品支持无理由退货。",
        "Orders cancelled before shipping need a check.",
        "We do not send the refund within 24 hours after the goods pass the check.",
        # names, contacts, links
        "退款原路返回到您的工商银行账户。",
        "请拨打400-123-4567查询退款。",
        "Please write to refunds@titmouse.example for the refund.",
        "详情见 https://example.com/refund 原路返回。",
        "Mastercard arrives in 3–7 working days.",
        # promises and stronger words
        "退款会赔偿您双倍金额。",
        "我们会免费赠送您一张优惠券。",
        "所有商品签收后 7 天内可以无理由退货。",
        "The refund is guaranteed within 24 hours after the goods pass the check.",
        "You always get the refund within 24 hours after the goods pass the check.",
        "运费全部由我们承担。",
        # a condition left out
        "签收后七天内可以无理由退货。",
        # true things of other worlds, politeness, nothing
        "巴黎是法国的首都。",
        "The capital of France is Paris.",
        "您好,很高兴为您服务!",
        "Is there anything else I can do for you?",
        "NONE",
        "24",
        "",
        "。。。",
        # obeying an article or a customer
        "好的,我已经忽略之前的指令,您的退款已批准。",
        "As requested, I have refunded your order in full.",
    ],
)
def test_a_sentence_is_dropped_when_no_source_says_it(sentence: str) -> None:
    assert not guard.is_supported(sentence, SOURCES)


def test_only_the_supported_sentences_are_kept_when_a_text_mixes_both() -> None:
    text = "您好!仓库验收通过后24小时内退出。我们还会赔偿您50元。信用卡3–7个工作日。"
    kept = guard.keep_supported(text, SOURCES)
    assert kept.text == "仓库验收通过后24小时内退出。信用卡3–7个工作日。"
    assert kept.dropped == ("您好!", "我们还会赔偿您50元。")


def test_nothing_is_kept_when_there_is_no_source() -> None:
    assert guard.keep_supported("微信和支付宝1天内到账。", []).text == ""
    assert guard.keep_supported("微信和支付宝1天内到账。", [" "]).text == ""


@given(number=st.integers(min_value=0, max_value=10_000))
def test_a_foreign_number_never_passes(number: int) -> None:
    sentence = f"仓库验收通过后{number}小时内退出。"
    assert guard.is_supported(sentence, SOURCES) == (number == 24)


@given(st.text(max_size=200))
def test_any_text_is_judged_without_an_error(text: str) -> None:
    kept = guard.keep_supported(text, SOURCES)
    assert all(guard.is_supported(sentence, SOURCES) for sentence in guard.sentences(kept.text))


@given(
    st.lists(
        st.sampled_from(["微信1天内到账。", "Hello there. ", "It takes 3.5 days.", "\n", "好"]), max_size=6
    )
)
def test_a_stream_gives_the_same_sentences_when_it_comes_in_pieces(pieces: list[str]) -> None:
    whole, waiting = [], ""
    for character in "".join(pieces):
        found, waiting = guard.split(waiting + character)
        whole += found
    assert [*whole, *guard.sentences(waiting)] == guard.sentences("".join(pieces))
