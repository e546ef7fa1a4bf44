"""Quoted text and signatures of Chinese and English clients; the samples are written by hand after what clients send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.adapters.email.reading import markup, quotes

NEW = "还没收到货"
WIDE = "\uff1a"
QUOTES = {
    "apple chinese": f"在 2026年11月20日，15:15，张三 <a@b.com> 写道{WIDE}\n\n> 您的订单已发出",
    "163 unmarked": f'在 2026-11-20 15:15:00，"客服" <a@b.com> 写道{WIDE}\n您的订单已发出',
    "163 wrapped": '在 2026-11-20 15:15:00，"客服" <a@b.com>\n写道:\n您的订单已发出',
    "163 english": 'At 2026-11-20 15:15:00, "Care" <a@b.com> wrote:\nhello',
    "gmail chinese": f"张三 <a@b.com> 于2026年11月20日周五 15:15写道{WIDE}\n> 您的订单已发出",
    "gmail chinese ascii colon": "张三 <a@b.com> 于2026年11月20日周五 15:15写道:\n> 您的订单已发出",
    "gmail chinese wrapped": f"张三 <a@b.com>\n于2026年11月20日周五 15:15写道{WIDE}\n> 您的订单已发出",
    "gmail taiwan": f"張三 <a@b.com> 於 2026年11月20日 週五 下午3:15寫道{WIDE}\n\n> 您的訂單已發出",
    "outlook chinese": f"发件人{WIDE} 客服 <a@b.com>\n发送时间{WIDE} 2026年11月20日\n收件人{WIDE} 李\n主题{WIDE} 回复\n\n旧",
    "foxmail": "发件人: 客服\n发送时间: 2026-11-20 15:15\n收件人: li\n主题: 回复\n旧的内容",
    "outlook taiwan": f"寄件者{WIDE} 客服\n傳送時間{WIDE} 2026年11月20日\n收件者{WIDE} 李\n\n舊",
    "qq": '------------------ 原始邮件 ------------------\n发件人: "客服" <a@b.com>;\n\n您的订单已发出',
    "netease master": "---- 回复的原邮件 ----\n| 发件人 | 客服 |\n您的订单已发出",
    "gmail english": "On Fri, Nov 20, 2026 at 3:15 PM Care <care@x.com> wrote:\n\n> hello\n> you",
    "gmail english wrapped": "On Fri, Nov 20, 2026 at 3:15 PM The Care Team of the Shop <\ncare@x.com> wrote:\n> hello",
    "apple english": "> On 20 Nov 2026, at 15:15, Care <a@b.com> wrote:\n> \n> hello",
    "outlook rule": "________________________________\nFrom: Care <a@b.com>\nSent: Friday\nTo: Li\nSubject: Re: x\n\nhello",
    "outlook original": "-----Original Message-----\nFrom: Care\nhello",
    "signature": "-- \nLi Lei\n13800138000",
    "phone": "发自我的iPhone",
    "phone english": "Sent from my iPhone",
    "netease signature": "发自网易邮箱大师",
    "outlook phone and block": "Get Outlook for iOS<https://aka.ms/o0ukef>\n____________________\nFrom: a\nTo: b\nhello",
}
INNOCENT = (
    "From: here on it is broken\nplease help",
    "于2026年11月20日下单，还没到",
    "On Monday I wrote: hello, and nobody answered",
    "____________\nfill in your name above",
    "在2026年写道歉信的流程",
    "我的订单\n-- 1001\n-- 1002",
    "发自内心的感谢，什么时候到货？",
)


@pytest.mark.parametrize("name", sorted(QUOTES))
def test_only_new_text_remains_when_a_client_quotes_below(name: str) -> None:
    assert quotes.strip(f"{NEW}\n\n{QUOTES[name]}") == NEW
    assert quotes.strip(f"{NEW}\r\n\r\n{QUOTES[name]}".replace("\n", "\r\n")) == NEW


@pytest.mark.parametrize("name", ["apple chinese", "gmail chinese", "gmail chinese wrapped", "gmail english"])
def test_new_text_remains_when_it_stands_below_the_quote(name: str) -> None:
    assert quotes.strip(f"{QUOTES[name]}\n\n{NEW}") == NEW
    assert quotes.strip(f"你好\n{QUOTES[name]}\n\n{NEW}") == f"你好\n\n{NEW}"


def test_answers_between_quoted_lines_remain() -> None:
    mail = "On Fri, Nov 20, 2026 Care <c@x.com> wrote:\n> Which order?\n1001\n> Which colour?\nred"
    assert quotes.strip(mail) == "1001\nred"


@pytest.mark.parametrize("text", INNOCENT)
def test_innocent_text_stays_when_it_only_looks_like_a_quote(text: str) -> None:
    assert quotes.strip(text) == text


@pytest.mark.parametrize(
    "text", ["> 只有引用", "发自我的iPhone", "--\nx", f"发件人{WIDE} a\n收件人{WIDE} b\n内容"]
)
def test_mail_stays_whole_when_nothing_else_is_in_it(text: str) -> None:
    assert quotes.strip(text) == text.strip()


@given(st.text(), st.sampled_from(sorted(QUOTES)))
def test_a_mail_is_never_emptied(text: str, name: str) -> None:
    assert quotes.says(quotes.strip(text)) == quotes.says(text)
    assert quotes.says(quotes.strip(f"{text}\n{QUOTES[name]}"))


words = st.text(st.sampled_from("订单一百号到哪了 abcxyz。？!,"), min_size=1).map(str.strip).filter(bool)


@given(st.lists(words, min_size=1, max_size=6), st.sampled_from(sorted(QUOTES)))
def test_every_new_line_remains_when_any_client_quotes(lines: list[str], name: str) -> None:
    new = "\n".join(lines)
    assert quotes.strip(f"{new}\n\n{QUOTES[name]}") == new


PAGES = {
    "gmail": '<div dir="ltr">还没收到货</div><div class="gmail_quote"><div class="gmail_attr">On Fri</div><blockquote>旧</blockquote></div>',
    "outlook": '<div>还没收到货</div><div id="appendonsend"></div><hr><div id="divRplyFwdMsg">From: x</div><p>旧</p>',
    "qq": "还没收到货<div includetail><div>旧</div></div>",
    "163": '<p>还没收到货</p><div id="isReplyContent"><p>旧</p></div>',
    "apple": "<div>还没收到货</div><div>On 20 Nov 2026, at 15:15, Care &lt;a@b.com&gt; wrote:</div><blockquote type=cite>旧</blockquote>",
    "below": "<div>On 20 Nov 2026, at 15:15, Care &lt;a@b.com&gt; wrote:</div><blockquote>旧</blockquote><p>还没收到货</p>",
    "hidden": '<style>p{}</style><p style="display:none">secret</p><script>steal()</script>还没收到货<img src="http://track.example/1.gif">',
}


@pytest.mark.parametrize("name", sorted(PAGES))
def test_only_new_text_remains_of_a_page(name: str) -> None:
    assert quotes.strip(markup.to_text(PAGES[name])) == NEW


def test_page_reads_as_text_when_it_has_structure() -> None:
    page = (
        "<html><head><title>t</title></head><body><h1>退货</h1><p>Hello&nbsp;&amp; <b>bye</b></p><ul><li>one<li>two</ul>"
        '<a href="https://shop.example/1">order</a> <a href="javascript:x()">bad</a><table><tr><td>a</td><td>b</td></tr></table>'
    )
    assert markup.to_text(page).replace("\n\n", "\n").split("\n") == [
        "退货", "Hello & bye", "• one", "• two", "order (https://shop.example/1) bad", "a b",
    ]  # fmt: skip


@given(st.text(st.sampled_from("<>/abdivscript \"'=&;!-\n你"), max_size=200))
def test_any_page_becomes_text(page: str) -> None:
    assert isinstance(markup.to_text(page), str)


@pytest.mark.parametrize(
    "piece", ["<div>", "</div>", "<blockquote>", "<!", "<a ", "&#", "<![CDATA[", '<a href="']
)
def test_hostile_page_ends(piece: str) -> None:
    markup.to_text(piece * 20_000)
