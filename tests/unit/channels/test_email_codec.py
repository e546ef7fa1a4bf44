"""What a mail says, who is proven to have written it, where it belongs, and which mails nobody wrote."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.adapters.email import codec
from channels.adapters.email.reading import charsets
from channels.adapters.email.reading.headers import mailboxes
from channels.adapters.email.reading.proof import is_proven
from channels.adapters.email.threads import Place
from channels.contract import Receipt
from foundation import errors
from tests.unit.channels.email_house import ADDRESS, BOX, NOW, VOUCHED, mail, read

OURS = BOX.threads.make_id(Place("a" * 24, "b" * 32), "c1/1/0")


def encoded(text: str, code: str, label: str = "") -> bytes:
    body = base64.encodebytes(text.encode(code)).decode()
    return mail(
        body,
        Content_Type=f"text/plain; charset={label or code}",
        Content_Transfer_Encoding="base64",
        Subject="",
    )


def test_mail_is_read_as_its_sender_wrote_it() -> None:
    message = read(mail(Authentication_Results=VOUCHED))
    (sender,) = message.sender
    assert (sender.namespace, sender.value, sender.proven) == (f"email:{ADDRESS}", "li@example.org", True)
    assert (message.kind, message.text) == ("text", "订单\n\n还没收到货")
    assert message.event_data == {"sender_name": "李雷", "subject": "订单"}
    assert message.sent_at == NOW
    assert message.account == "main"
    assert "li@" not in message.message_id + message.thread


def test_time_of_arrival_counts_when_the_clock_of_the_sender_is_wrong() -> None:
    assert read(mail(Date="Wed, 25 Nov 2020 17:00:00 +0800")).sent_at == NOW
    assert read(mail(Date="yesterday")).sent_at == NOW
    assert read(mail(Date="Wed, 25 Nov 2026 16:00:00 +0800")).sent_at == NOW - timedelta(hours=1)


@pytest.mark.parametrize(
    ("code", "label"),
    [
        ("gb18030", "gb2312"), ("gb18030", "GBK"), ("gb18030", ""), ("big5hkscs", "big5"), ("gb18030", "utf-8"),
        ("utf-8", "us-ascii"), ("utf-8", "iso-8859-1"), ("utf-8", "gb2312"), ("utf-8", "no-such-code"), ("utf-16", "utf-16"),
        ("utf-8", '"utf-8"'), ("gb18030", "x-gbk"), ("utf-8", "rot13"),
    ],
)  # fmt: skip
def test_chinese_is_read_when_the_label_is_vague_wrong_or_missing(code: str, label: str) -> None:
    text = "請問我的訂單到了沒有" if code == "big5hkscs" else "请问我的订单㐂到哪里了"
    assert read(encoded(text, code, label or "unknown-8bit")).text == text


def test_torn_utf8_is_read_as_utf8() -> None:
    content = "我的订单到哪里了".encode()
    assert charsets.decode(content[:-1], "utf-8") == "我的订单到哪里\ufffd"
    assert charsets.decode(content[:3] + b"\xff" + content[3:], "utf-8") == "我\ufffd的订单到哪里了"


def test_windows_western_is_read_when_the_label_says_latin() -> None:
    assert charsets.decode(b"it\x92s \x80 5", "iso-8859-1") == "it’s € 5"


def test_japanese_escapes_are_read() -> None:
    assert charsets.decode("注文".encode("iso-2022-jp"), "ISO-2022-JP") == "注文"


def word(content: bytes, code: str) -> str:
    return f"=?{code}?B?{base64.b64encode(content).decode()}?="


def test_subject_is_read_when_a_client_cut_inside_a_character() -> None:
    content = "回复：关于订单的问题".encode("gb18030")
    subject = f"{word(content[:7], 'gb18030')}\r\n {word(content[7:], 'gb18030')}"
    assert read(mail(Subject=subject)).event_data["subject"] == "关于订单的问题"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("=?utf-8?Q?=E8=AE=A2=E5=8D=95_1?= plain", "订单 1 plain"), ("a =?utf-8?q?b?= =?utf-8?q?c?= d", "a bc d"),
        ("=?utf-8*zh?B?6K6i?=", "订"), ("=?x?B?####?=", "####"), ("=?utf-8?B?6K6i5Y2?=", "订\ufffd"), ("a\tb\x07c", "a b c"),
    ],
)  # fmt: skip
def test_encoded_words_are_read(raw: str, said: str) -> None:
    assert charsets.header(raw) == said


def test_bare_bytes_in_a_header_are_guessed() -> None:
    raw = mail().replace("Subject: 订单".encode(), b"Subject: " + "订单查询问题".encode("gb18030"))
    assert read(raw).event_data["subject"] == "订单查询问题"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ('"victim@good.example" <li@evil.example>', [("victim@good.example", "li@evil.example")]),
        ("victim@good.example <li@evil.example>", [("victim@good.example", "li@evil.example")]),
        ("<a@x.example> <b@x.example>", [("<a@x.example>", "b@x.example")]),
        ("a@x.example (b@y.example)", [("", "a@x.example")]), ("(a@x.example)b@y.example", [("", "b@y.example")]),
        ('"Li, Lei" <a@x.example>, b@x.example', [("Li, Lei", "a@x.example"), ("", "b@x.example")]),
        ("group: a@x.example;", [("", "a@x.example")]), ("undisclosed-recipients:;", []), ("nobody", []), ("a@b@c", []), ("", []),
    ],
)  # fmt: skip
def test_address_is_only_what_stands_in_its_place(value: str, found: list[tuple[str, str]]) -> None:
    assert mailboxes(value) == found


PROOFS = {
    "dmarc": (["mx.a; dmarc=pass (p=NONE sp=NONE) header.from=x.com"], True),
    "dmarc of a folded header": (["mx.a; spf=pass smtp.mailfrom=a@x.com;   dmarc=pass action=none header.from=X.com;"], True),
    "signature": (["mx.a 1; dkim=pass reason=\"ok\" header.d=x.com header.s=k"], True),
    "signature by i": (["mx.a; dkim=pass header.i=@x.com header.s=k"], True),
    "second signature": (["mx.a; dkim=pass header.d=esp.net; dkim=pass header.d=x.com"], True),
    "other signature": (["mx.a; dkim=pass header.d=esp.net"], False),
    "signature from below": (["mx.a; dkim=pass header.d=mail.x.com"], False),
    "signature of a suffix": (["mx.a; dkim=pass header.d=com"], False),
    "similar domain": (["mx.a; dkim=pass header.d=ax.com", ], False),
    "dmarc of another domain": (["mx.a; dmarc=pass header.from=y.com"], False),
    "failed": (["mx.a; dkim=pass header.d=x.com; dmarc=fail header.from=x.com"], False),
    "none": (["mx.a; none"], False),
    "only spf": (["mx.a; spf=pass smtp.mailfrom=a@x.com"], False),
    "other server": (["mx.b; dmarc=pass header.from=x.com"], False),
    "other server above": (["mx.b; dmarc=fail", "mx.a; dmarc=pass header.from=x.com"], True),
    "forged below ours": (["mx.a; dmarc=none header.from=x.com", "mx.a; dmarc=pass header.from=x.com"], False),
    "in a comment": (["mx.a; spf=none (; dmarc=pass header.from=x.com )"], False),
    "in a nested comment": (["mx.a; spf=none (a (b) ; dmarc=pass header.from=x.com ) x"], False),
    "in quotes": (['mx.a; spf=none smtp.mailfrom="; dmarc=pass header.from=x.com"'], False),
    "open quote": (['mx.a; dmarc=pass header.from=x.com; spf=none "'], False),
    "in another value": (["mx.a; spf=none smtp.mailfrom=dmarc=pass header.from=x.com"], False),
    "second value": (["mx.a; dkim=pass header.d=esp.net header.d=x.com"], False),
    "longer result": (["mx.a; dkim=passed header.d=x.com"], False),
    "empty": ([""], False),
    "nothing": ([], False),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(PROOFS))
def test_sender_is_proven_only_by_our_server_about_the_from_domain(name: str) -> None:
    headers, proven = PROOFS[name]
    assert is_proven(headers, authserv_id="mx.a", domain="x.com") == proven
    assert not is_proven(headers, authserv_id="", domain="x.com")


@given(st.lists(st.text(st.sampled_from('mx.a; dmarc=pasheder.from"()\\'), max_size=80), max_size=3))
def test_any_results_are_judged(headers: list[str]) -> None:
    assert is_proven(headers, authserv_id="mx.a", domain="x.com") in (True, False)


def test_reply_to_is_answered_but_not_proven() -> None:
    message = read(mail(Authentication_Results=VOUCHED, Reply_To="Eve <eve@evil.example>"))
    assert (message.sender[0].value, message.sender[0].proven) == ("eve@evil.example", False)
    ours = read(mail(Authentication_Results=VOUCHED, Reply_To=ADDRESS))
    assert ours.sender[0].value == "li@example.org"


def test_two_senders_are_not_proven() -> None:
    assert not read(mail(Authentication_Results=VOUCHED, From="a@example.org, b@x.example")).sender[0].proven


def test_thread_is_found_by_whatever_a_client_names() -> None:
    first = read(mail())
    reply_id = BOX.threads.make_id(Place(first.reply_context["root"], first.thread), "c1/1/0")
    chains = (
        {"References": f"<a1@example.org> <{reply_id}>"},
        {"In_Reply_To": f"<{reply_id}>"},
        {"References": "<a1@example.org>"},
    )
    replies = [read(mail(Message_ID=f"<r{number}@x>", **chain)) for number, chain in enumerate(chains)]
    assert {reply.thread for reply in replies} == {first.thread}
    assert len({reply.message_id for reply in replies}) == 3
    assert read(mail(Message_ID="<new@x>")).thread != first.thread


def test_stranger_does_not_enter_a_conversation_when_he_knows_its_ids() -> None:
    first = read(mail(Authentication_Results=VOUCHED))
    chain = {"Message_ID": "<r@x>", "In_Reply_To": f"<{OURS}>", "References": "<a1@example.org>"}
    stranger = read(mail(From="eve@evil.example", **chain))
    forged = read(mail(**chain))
    assert len({first.thread, stranger.thread, forged.thread}) == 3


def test_our_id_is_not_recognised_when_a_letter_is_changed() -> None:
    assert BOX.threads.recognise(OURS) == Place("a" * 24, "b" * 32)
    assert BOX.threads.recognise(OURS.replace("b", "c", 1)) is None
    assert replace(BOX.threads, key="another").recognise(OURS) is None


def test_message_is_one_when_it_comes_twice_and_another_without_an_id() -> None:
    once, again = read(mail()), codec.parse(mail(), BOX, received_at=NOW, stands_at="8:99")
    assert again is not None
    assert once.message_id == again.message_id
    nameless = [read(mail(text, Message_ID="")).message_id for text in ("a", "a", "b")]
    assert len(set(nameless)) == 2


@pytest.mark.parametrize(
    ("headers", "event"),
    [
        ({"Auto_Submitted": "auto-replied"}, "auto_reply"), ({"Auto_Submitted": "Auto-Replied; owner=x"}, "auto_reply"),
        ({"Auto_Submitted": "auto-generated"}, "automatic"), ({"Auto_Submitted": "no"}, ""), ({"Precedence": "Bulk"}, "automatic"),
        ({"Precedence": "list"}, "automatic"), ({"Precedence": "first-class"}, ""), ({"List_Id": "<l.x>"}, "automatic"),
        ({"List_Unsubscribe": "<mailto:u@x>"}, "automatic"), ({"X_Autoreply": "yes"}, "auto_reply"),
        ({"X_Auto_Response_Suppress": "DR, OOF, AutoReply"}, "automatic"), ({"X_Auto_Response_Suppress": "DR"}, ""),
        ({"Return_Path": "<>"}, "automatic"), ({"Return_Path": "<li@example.org>"}, ""),
        ({"From": "no-reply@x.example"}, "automatic"), ({"From": "bounces+1=x@x.example"}, "automatic"),
        ({"From": "norah.reply@x.example"}, ""), ({"Subject": "自动回复: 订单"}, "auto_reply"),
        ({"Subject": "Out of Office"}, "auto_reply"), ({"Subject": "自动回复怎么设置"}, ""),
    ],
)  # fmt: skip
def test_mail_of_a_machine_is_an_event_that_nobody_answers(headers: dict[str, str], event: str) -> None:
    message = read(mail(**headers))
    assert message.event == event
    assert message.kind == ("event" if event else "text")
    assert "还没收到货" in message.text


@pytest.mark.parametrize(
    "headers",
    [
        {"From": f"Care <{ADDRESS}>"}, {"From": "HELLO@shop.example"}, {"X_Loop": BOX.loop_token}, {"Message_ID": f"<{OURS}>"},
        {"From": "mailer-daemon@x.example"},
    ],
)  # fmt: skip
def test_nothing_is_read_of_our_own_mails_and_of_bounces_of_others(headers: dict[str, str]) -> None:
    assert codec.parse(mail(**headers), BOX, received_at=NOW) is None


@pytest.mark.parametrize(
    ("action", "event"), [("failed", "bounced"), ("delayed", "delayed"), ("relayed", "delivered")]
)
def test_bounce_of_ours_is_an_event_in_its_conversation(action: str, event: str) -> None:
    body = (
        "--r\nContent-Type: text/plain\n\nsorry\n--r\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx\n\n"
        f"Final-Recipient: rfc822; Li@example.org\nAction: {action}\nStatus: 5.2.2 (full)\n\n"
        f"--r\nContent-Type: message/rfc822\n\nFrom: {ADDRESS}\nMessage-ID: <{OURS}>\n\nhello\n--r--\n"
    )
    kind = 'multipart/report; report-type="delivery-status"; boundary=r'
    message = read(mail(body, From="MAILER-DAEMON@mx.example", Content_Type=kind, Return_Path="<>"))
    assert (message.thread, message.event) == ("b" * 32, event)
    assert message.event_data == {"provider_id": OURS, "code": "email_5.2.2"}
    assert message.sender[0].value == "li@example.org"
    if event == "bounced":
        assert codec.receipt_of(message, "failed") == Receipt(OURS, "failed", "email_5.2.2")


def test_bounce_without_a_report_is_found_by_our_id_in_its_text() -> None:
    body = base64.encodebytes(f"退信：\nMessage-ID: <{OURS}>".encode()).decode()
    message = read(mail(body, From="Postmaster@qq.example", Content_Transfer_Encoding="base64"))
    assert (message.event, message.thread, message.event_data["code"]) == (
        "bounced",
        "b" * 32,
        "email_bounced",
    )


MIXED = """--m
Content-Type: multipart/alternative; boundary=n

--n
Content-Type: text/plain; charset=utf-8

请看照片
--n
Content-Type: text/html; charset=utf-8

<p>请看<b>照片</b></p>
--n--
--m
Content-Type: image/png; name="logo.png"
Content-ID: <logo>
Content-Transfer-Encoding: base64

c21hbGw=
--m
Content-Type: image/jpeg
Content-Disposition: attachment; filename*=utf-8''%E7%85%A7%E7%89%87.jpg
Content-Transfer-Encoding: base64

cGljdHVyZQ==
--m
Content-Type: application/pdf
Content-Disposition: attachment; filename="../../etc/=?utf-8?B?5Y+R56Wo?=.pdf"
Content-Transfer-Encoding: base64

cGRm
--m
Content-Type: message/rfc822

From: a@b.example
Subject: inner

inner text
--m--
"""


def test_attachments_are_named_with_their_place_and_decorations_left_out() -> None:
    raw = mail(MIXED, Content_Type="multipart/mixed; boundary=m", Subject="")
    message = read(raw)
    assert message.text == "请看照片"
    found = [(one.kind, one.name, one.media_type, one.media_id) for one in message.attachments]
    assert found == [
        ("image", "照片.jpg", "image/jpeg", "7:3:0"), ("file", "发票.pdf", "application/pdf", "7:3:1"),
        ("file", "", "message/rfc822", "7:3:2"),
    ]  # fmt: skip
    contents = [one.content() for one in codec.attached(raw)]
    assert contents[:2] == [b"picture", b"pdf"]
    assert b"inner text" in contents[2]


def test_attachment_is_named_without_a_handle_when_it_is_too_large() -> None:
    raw = mail(MIXED, Content_Type="multipart/mixed; boundary=m")
    message = read(raw, replace(BOX, attachment_limit_bytes=3))
    assert [(one.media_id, one.description) for one in message.attachments][:2] == [
        ("", "too_large"),
        ("7:3:1", ""),
    ]


def test_kind_is_that_of_the_attachment_when_a_mail_has_no_words() -> None:
    body = "Content-Type: x\n--m\nContent-Type: image/png; name=a.png\nContent-Transfer-Encoding: base64\n\ncA==\n--m--"
    message = read(mail(body, Content_Type="multipart/mixed; boundary=m", Subject=""))
    assert (message.kind, message.text) == ("image", "")


def test_flowed_paragraphs_are_one_line() -> None:
    kind = "text/plain; charset=utf-8; format=flowed"
    assert read(mail("one \ntwo\n\nthree", Content_Type=kind, Subject="")).text == "one two\n\nthree"


def test_subject_stands_before_a_first_mail_only() -> None:
    assert read(mail("hello", Subject="Order 1")).text == "Order 1\n\nhello"
    assert read(mail("about order 1", Subject="Order 1")).text == "about order 1"
    assert read(mail("hello", Subject="Re: Order 1", In_Reply_To="<x@y>")).text == "hello"


@pytest.mark.parametrize(
    "raw", [b"", b"\xff\xfe\x00\xd8", b"From: nobody\r\n\r\nx", b"<xml>" + b"a" * 100_000, b"\n" * 1000]
)
def test_what_is_no_mail_is_refused_by_name(raw: bytes) -> None:
    with pytest.raises(errors.UnreadablePayload):
        codec.parse(raw, BOX, received_at=NOW)


def nested(depth: int) -> bytes:
    head = b"From: a@b.example\r\n"
    for number in range(depth):
        head += f"Content-Type: multipart/mixed; boundary=b{number}\r\n\r\n--b{number}\r\n".encode()
    return head + b"Content-Type: text/plain\r\n\r\nhello"


@pytest.mark.parametrize("depth", [10, 100, 3000])
def test_deep_mail_is_read_or_refused(depth: int) -> None:
    try:
        message = codec.parse(nested(depth), BOX, received_at=NOW)
    except errors.UnreadablePayload:
        return
    assert message is not None


PIECES = st.sampled_from(
    [
        b"From: a@b.example\r\n", b"From: =?utf-8?B?5p2O?= <x@y.example>\r\n", b"Subject: =?gb2312?B?xOM=?=\r\n", b"Content-Type: ",
        b"multipart/mixed; boundary=b\r\n", b"text/html; charset=", b"gb18030\r\n", b"utf-16\r\n", b"\r\n--b\r\n", b"\r\n--b--\r\n",
        b"\r\n\r\n", b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding: quoted-printable\r\n", b"=E4=B", b"////",
        b"<blockquote>", b"<a href='", b"message/rfc822\r\n", b"multipart/report; report-type=delivery-status; boundary=b\r\n",
        b"message/delivery-status\r\n", b"Date: 1\r\n", b"Message-ID: <>\r\n", b"References: <a@b> \xff\r\n", b"Authentication-Results: ",
        b"Content-Disposition: attachment; filename*0*=utf-8''%ff; filename*1=x\r\n", b"X-Loop: x\r\n", b"\xe4\xbd", b"\x00", b" ", b";",
        b"charset*=utf-8''x", b"\r\n", b"filename*=''\r\n", b"begin 644 x\r\n", b"Content-Transfer-Encoding: uuencode\r\n",
    ]
)  # fmt: skip


@given(st.lists(st.one_of(PIECES, st.binary(max_size=12)), max_size=40).map(b"".join))
def test_any_mail_is_read_or_refused_by_name(raw: bytes) -> None:
    for whole in (raw, b"From: a@b.example\r\n" + raw):
        try:
            message = codec.parse(whole, BOX, received_at=NOW, stands_at="1:1")
            codec.attached(whole)
        except errors.UnreadablePayload:
            continue
        if message is not None:
            message.model_dump_json()
            assert "\x00" not in message.text
