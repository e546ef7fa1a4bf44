"""The form engine through its real tools: the order of answers does not matter, and nothing happens without a "yes"."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.tools import conduct, forms
from agent.tools.contract import Heard
from tests.unit.agent.shop_tools import TOOLS, WORDS, Shop, context, heard

RETURN = TOOLS["return_request"]
INVOICE = TOOLS["invoice_request"]
ADDRESS = TOOLS["address_change"]

RETURN_ANSWERS = (
    heard("订单号是 SQ2026010002", order_no="SQ2026010002"),
    heard("退台灯"),
    heard("质量有问题"),
)
INVOICE_ANSWERS = (
    heard("SQ2026010002", order_no="SQ2026010002"),
    heard("开公司的"),
    heard("抬头是杭州听雨设计有限公司"),
    heard("税号 91330100MA00000001"),
    heard("发到 xiaoyu@tingyu.example"),
)
CONFIRMED = {"order_no": "SQ2026010002", "items": ["LP-010"], "reason": "quality"}


class Played:
    """A form that is led through messages, one after the other."""

    def __init__(self, shop: Shop, tool_name: str) -> None:
        self.shop = shop
        self.tool = TOOLS[tool_name]
        self.form: forms.Form | None = forms.begin(tool_name)
        self.turns = itertools.count(1)
        self.last = conduct.Conducted("open", ())

    async def hear(self, message: Heard, *, account: str = "demo1") -> conduct.Conducted:
        assert self.form is not None
        key = f"c/{next(self.turns)}/{self.tool.name}"
        self.last = await conduct.conduct(
            self.tool, self.form, message, words=WORDS, context=context(self.shop, account=account, key=key)
        )
        self.form = self.last.form
        return self.last

    def asks(self) -> str:
        return self.last.parts[-1]["reply"] if self.last.parts else ""

    def values(self) -> dict[str, object]:
        assert self.form is not None
        return dict(self.form["values"])


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_arguments_are_the_same_when_a_return_is_answered_in_any_order(
    shop: Shop, order: tuple[int, ...]
) -> None:
    played = Played(shop, "return_request")
    await played.hear(heard("我要退货"))
    for index in order:
        await played.hear(RETURN_ANSWERS[index])
    assert played.asks() == "confirm_return"
    assert played.values() == CONFIRMED
    assert shop.changes() == []


@pytest.mark.parametrize("order", list(itertools.permutations(range(5)))[::7])
async def test_arguments_are_the_same_when_an_invoice_is_answered_in_any_order(
    shop: Shop, order: tuple[int, ...]
) -> None:
    played = Played(shop, "invoice_request")
    await played.hear(heard("我要发票"))
    for index in order:
        await played.hear(INVOICE_ANSWERS[index])
    for index in order:
        if played.asks() != "confirm_invoice":
            await played.hear(INVOICE_ANSWERS[index])
    assert played.asks() == "confirm_invoice"
    assert played.values() == {
        "order_no": "SQ2026010002", "kind": "company", "title": "杭州听雨设计有限公司",
        "tax_no": "91330100MA00000001", "email": "xiaoyu@tingyu.example",
    }  # fmt: skip


MESSAGES = st.sampled_from(
    (
        *RETURN_ANSWERS,
        heard("确认"),
        heard("对", acts=("affirm",)),
        heard("不对", acts=("deny",)),
        heard("不对,是另一个", acts=("correction",)),
        heard("都退"),
        heard("电饭煲留着,只退台灯"),
        heard("SQ2026010003", order_no="SQ2026010003"),
        heard("不喜欢"),
        heard("2"),
        heard("好的,原因改成发错货"),
        heard("嗯,运费谁出?", question=True),
        heard("今天天气不错"),
        heard("原因不对"),
    )
)


@given(messages=st.lists(MESSAGES, min_size=1, max_size=9))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_nothing_is_carried_out_unless_the_last_change_was_read_back_and_confirmed(
    messages: list[Heard], tmp_path_factory: pytest.TempPathFactory
) -> None:
    shop = Shop(tmp_path_factory.mktemp("shop"))
    played = Played(shop, "return_request")
    await played.hear(heard("我要退货"))
    shown: dict[str, object] | None = None
    for message in messages:
        before = len(shop.changes())
        await played.hear(message)
        if len(shop.changes()) > before:
            name, arguments = next(call for call in reversed(shop.calls) if call[0] == "create_return")
            assert shown is not None, "nothing had been read back"
            assert {
                "order_no": arguments["order_no"],
                "items": arguments["skus"],
                "reason": arguments["reason"],
            } == shown
            assert name == "create_return"
        if played.form is None or played.last.end != "open":
            return
        shown = played.values() if played.form["stage"] == "confirming" else None


async def test_all_slots_are_filled_when_one_message_holds_them(shop: Shop) -> None:
    played = Played(shop, "return_request")
    await played.hear(heard("SQ2026010002 的台灯坏了要退", order_no="SQ2026010002"))
    assert played.asks() == "confirm_return"
    assert played.values() == CONFIRMED


async def test_the_other_one_is_taken_when_two_were_offered(shop: Shop) -> None:
    played = Played(shop, "return_request")
    await played.hear(heard("SQ2026010002 的电饭煲坏了", order_no="SQ2026010002"))
    assert played.values()["items"] == ["RC-300"]
    await played.hear(heard("不对,是另一个", acts=("correction",)))
    assert played.asks() == "confirm_return"
    assert played.values()["items"] == ["LP-010"]


async def test_it_is_read_back_again_when_yes_comes_with_a_change(shop: Shop) -> None:
    played = Played(shop, "return_request")
    await played.hear(heard("SQ2026010002 的台灯坏了要退", order_no="SQ2026010002"))
    await played.hear(heard("好的,不过原因是发错货了", acts=("affirm",)))
    assert played.asks() == "confirm_return"
    assert played.values()["reason"] == "wrong_item"
    assert shop.changes() == []


async def test_the_named_slot_is_asked_anew_when_the_customer_says_it_is_wrong(shop: Shop) -> None:
    played = Played(shop, "address_change")
    await played.hear(heard("改地址 SQ2026010007", order_no="SQ2026010007"))
    await played.hear(heard("杭州市滨江区听涛路 9 号 2 幢 301"))
    await played.hear(heard("不变"))
    await played.hear(heard("13900001111", phone="+8613900001111"))
    assert played.asks() == "confirm_address"
    await played.hear(heard("地址不对"))
    assert played.asks() == "ask_new_address"
    await played.hear(heard("杭州市滨江区听涛路 9 号 2 幢 302"))
    assert played.asks() == "confirm_address"
    assert played.values()["address"] == "杭州市滨江区听涛路 9 号 2 幢 302"
    assert played.values()["phone"] == "+8613900001111"


@pytest.mark.parametrize(
    ("said", "address"),
    [
        ("等下，是 302", "杭州市滨江区听涛路 9 号 2 幢 302"),
        ("sorry, 3 幢", "杭州市滨江区听涛路 9 号 2 幢 301"),
        ("等下，是 417", "杭州市滨江区听涛路 9 号 2 幢 301"),
        ("302 还是 301", "杭州市滨江区听涛路 9 号 2 幢 301"),
    ],
)
async def test_only_the_clear_part_is_changed_when_an_address_is_put_right(
    shop: Shop, said: str, address: str
) -> None:
    """ "3" could mean 9 or 2, and 417 is like none of its numbers: those are asked about."""
    played = Played(shop, "address_change")
    for message in (
        heard("SQ2026010007", order_no="SQ2026010007"),
        heard("杭州市滨江区听涛路 9 号 2 幢 301", address="杭州市滨江区听涛路 9 号 2 幢 301"),
        heard("不变"),
        heard("13800001001", phone="+8613800001001"),
    ):
        await played.hear(message)
    assert played.asks() == "confirm_address"
    await played.hear(heard(said, acts=("correction",)))
    assert played.values()["address"] == address
    assert (played.asks() == "confirm_address") == address.endswith("302")
    assert shop.changes() == []


async def test_items_are_forgotten_when_the_order_changes(shop: Shop) -> None:
    played = Played(shop, "return_request")
    await played.hear(heard("SQ2026010002 的台灯坏了要退", order_no="SQ2026010002"))
    await played.hear(heard("说错了,是 SQ2026010006", order_no="SQ2026010006"))
    assert played.asks() == "ask_return_items"
    assert "items" not in played.values()


async def test_the_kept_item_stays_out_when_the_others_go_back(shop: Shop) -> None:
    played = Played(shop, "return_request")
    await played.hear(heard("退 SQ2026010002", order_no="SQ2026010002"))
    await played.hear(heard("都退吧"))
    assert played.values()["items"] == ["RC-300", "LP-010"]
    await played.hear(heard("那电饭煲留着算了,只退台灯,就是不太喜欢", acts=("cancel",)))
    assert played.values() == {"order_no": "SQ2026010002", "items": ["LP-010"], "reason": "change_of_mind"}


@pytest.mark.parametrize("words", ["算了,不退了", "取消", "never mind", "唔退喇", "cancel"])
async def test_the_form_ends_without_effect_when_it_is_cancelled(shop: Shop, words: str) -> None:
    played = Played(shop, "return_request")
    await played.hear(heard("SQ2026010002 的台灯坏了要退", order_no="SQ2026010002"))
    assert (await played.hear(heard(words))).end == "cancelled"
    assert shop.changes() == []


async def test_a_person_takes_over_when_a_form_is_missed_three_times(shop: Shop) -> None:
    played = Played(shop, "return_request")
    await played.hear(heard("我要退货"))
    ends = [(await played.hear(heard("今天天气不错"))).end for _ in range(forms.MISSES)]
    assert ends == ["open", "open", "gave_up"]


async def test_a_question_is_no_confirmation_when_it_sounds_like_yes(shop: Shop) -> None:
    played = Played(shop, "return_request")
    await played.hear(heard("SQ2026010002 的台灯坏了要退", order_no="SQ2026010002"))
    await played.hear(heard("好的,那多久退款?", acts=("affirm",), question=True))
    assert shop.changes() == []


async def test_the_order_is_asked_again_when_its_number_does_not_exist(shop: Shop) -> None:
    played = Played(shop, "return_request")
    done = await played.hear(heard("退 SQ2099999999", order_no="SQ2099999999"))
    assert [part["reply"] for part in done.parts] == ["shop_refusal", "ask_return_order"]


async def test_a_strangers_order_looks_like_none_when_it_is_named(shop: Shop) -> None:
    strange = await Played(shop, "order_status").hear(heard("SQ2026010010", order_no="SQ2026010010"))
    absent = await Played(shop, "order_status").hear(heard("SQ2099999999", order_no="SQ2099999999"))
    codes = [(done.parts[0]["reply"], done.parts[0]["values"]["code"]) for done in (strange, absent)]
    assert codes == [("shop_refusal", "not_found")] * 2


async def test_a_request_waits_for_a_person_when_the_shop_says_so(shop: Shop) -> None:
    played = Played(shop, "return_request")
    await played.hear(heard("退 SQ2026010003,尺寸买错了", order_no="SQ2026010003"))
    assert played.asks() == "confirm_return"
    done = await played.hear(heard("确认"))
    assert done.end == "approval"
    assert shop.changes() == []


async def test_a_repeated_turn_changes_nothing_twice(shop: Shop) -> None:
    played = Played(shop, "return_request")
    await played.hear(heard("SQ2026010002 的台灯坏了要退", order_no="SQ2026010002"))
    form = played.form
    assert form is not None
    first = await conduct.conduct(
        RETURN, form, heard("确认"), words=WORDS, context=context(shop, key="c/9/return_request")
    )
    again = await conduct.conduct(
        RETURN, form, heard("确认"), words=WORDS, context=context(shop, key="c/9/return_request")
    )
    assert first.parts == again.parts
    assert first.end == again.end == "done"


async def test_no_address_is_asked_when_the_order_has_shipped(shop: Shop) -> None:
    done = await Played(shop, "address_change").hear(heard("SQ2026010001 改个地址", order_no="SQ2026010001"))
    assert done.end == "refused"
    assert done.parts[0]["values"]["code"] == "already_shipped"


async def test_no_reason_is_asked_when_the_order_is_not_delivered(shop: Shop) -> None:
    done = await Played(shop, "return_request").hear(
        heard("退 SQ2026010001 坏了一个", order_no="SQ2026010001")
    )
    assert done.parts[0]["values"]["code"] == "not_delivered"
