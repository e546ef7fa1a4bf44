"""WeChat's XML to messages and back: every kind, everything the platform may add, and everything hostile."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.adapters.wechat_oa import codec
from channels.contract import BODY_LIMIT
from channels.families.wechat.codec import parse_fields, render_xml
from foundation import errors
from foundation.messages import Choice, Identifier, InboundMessage, TenantId
from tests.unit.channels.wechat import FIELDS, NOW


def read(**fields: str) -> InboundMessage:
    return read_body(render_xml({name: value for name, value in {**FIELDS, **fields}.items() if value}))


def read_body(body: bytes) -> InboundMessage:
    return codec.parse_message(body, tenant=TenantId("demo"), account="main", app_id="wx01", received_at=NOW)


def event(name: str, **fields: str) -> InboundMessage:
    return read(MsgType="event", Event=name, Content="", MsgId="", **fields)


def test_text_keeps_who_when_and_what() -> None:
    message = read()
    assert (message.channel, message.account, message.thread) == ("wechat_oa", "main", "oAbC-123")
    assert message.sender == (Identifier(namespace="wechat_oa:wx01", value="oAbC-123", proven=True),)
    assert (message.kind, message.text) == ("text", "我要退货")
    assert message.sent_at == datetime(2025, 11, 25, 9, 0, tzinfo=UTC)


def test_message_id_is_the_same_when_the_message_is_the_same() -> None:
    assert read().message_id == read(Content="the text does not count").message_id
    different = {
        read().message_id,
        read(MsgId="2").message_id,
        read(FromUserName="oOther").message_id,
        read(ToUserName="gh_other").message_id,
    }
    assert len(different) == 4
    assert "oAbC-123" not in read().message_id


def test_events_are_told_apart_when_time_name_or_key_differ() -> None:
    one = event("CLICK", EventKey="A")
    different = {
        one.message_id,
        event("CLICK", EventKey="B").message_id,
        event("VIEW", EventKey="A").message_id,
        event("CLICK", EventKey="A", CreateTime="1764061201").message_id,
    }
    assert len(different) == 4
    assert event("CLICK", EventKey="A").message_id == one.message_id


def test_message_without_id_is_named_by_all_it_says() -> None:
    assert read(MsgId="").message_id == read(MsgId="").message_id != read(MsgId="", Content="x").message_id


def test_kinds_are_read() -> None:
    image = read(MsgType="image", PicUrl="http://p/1", MediaId="m1", Content="")
    assert (image.kind, image.attachments[0].url, image.attachments[0].media_id) == (
        "image",
        "http://p/1",
        "m1",
    )
    voice = read(MsgType="voice", MediaId="m2", Format="AMR", Recognition="帮我查订单", Content="")
    assert (voice.kind, voice.text, voice.attachments[0].media_type) == ("voice", "帮我查订单", "audio/amr")
    silent = read(MsgType="voice", MediaId="m2", Content="")
    assert (silent.text, silent.attachments[0].media_type) == ("", "")
    for kind in ("video", "shortvideo"):
        assert read(MsgType=kind, MediaId="m3", ThumbMediaId="t", Content="").kind == "video"
    link = read(MsgType="link", Title="锅", Description="好锅", Url="https://s/1?a=1&b=2", Content="")
    assert (link.kind, link.attachments[0].name, link.attachments[0].url) == (
        "link",
        "锅",
        "https://s/1?a=1&b=2",
    )


def test_place_is_read_when_it_is_one() -> None:
    place = read(
        MsgType="location", Location_X="30.27", Location_Y="120.15", Scale="15", Label="杭州"
    ).attachments[0]
    assert (place.latitude, place.longitude, place.description) == (30.27, 120.15, "杭州")
    lost = read(MsgType="location", Location_X="nan", Location_Y="not a number").attachments[0]
    assert (lost.latitude, lost.longitude) == (None, None)
    assert read(MsgType="location", Location_X="91", Location_Y="-181").attachments[0].latitude is None


@pytest.mark.parametrize(
    "name", ["subscribe", "unsubscribe", "SCAN", "LOCATION", "CLICK", "VIEW", "kf_create_session", "new"]
)
def test_event_is_named_in_lower_case(name: str) -> None:
    message = event(name)
    assert (message.kind, message.event, message.text) == ("event", name.lower(), "")


def test_scene_is_read_when_a_code_was_scanned() -> None:
    assert event("subscribe", EventKey="qrscene_7", Ticket="t").event_data["scene"] == "7"
    assert event("SCAN", EventKey="7", Ticket="t").event_data == {
        "EventKey": "7",
        "Ticket": "t",
        "scene": "7",
    }
    assert "scene" not in event("subscribe", EventKey="last_trade_no_1").event_data


def test_position_is_read_when_the_platform_reports_it() -> None:
    message = event("LOCATION", Latitude="30.1", Longitude="120.2", Precision="65.0")
    assert (message.attachments[0].latitude, message.attachments[0].longitude) == (30.1, 120.2)


def test_nothing_is_lost_when_the_kind_is_unknown() -> None:
    message = read(MsgType="hologram", Shape="cube", Content="")
    assert (message.kind, message.event_data) == ("unknown", {"type": "hologram", "Shape": "cube"})
    assert event("").kind == "unknown"


def test_nested_fields_are_named_by_their_path() -> None:
    body = render_xml({**FIELDS, "MsgType": "event", "Event": "scancode_waitmsg"})
    body = body.replace(b"</xml>", b"<ScanCodeInfo><ScanType>qrcode</ScanType></ScanCodeInfo></xml>")
    assert read_body(body).event_data["ScanCodeInfo.ScanType"] == "qrcode"


def test_tapped_item_is_its_label() -> None:
    assert read(Content="查物流", bizmsgmenuid="track").text == "查物流"
    assert read(Content="", bizmsgmenuid="track").text == "track"


@pytest.mark.parametrize("time", ["", "soon", "-5", "99999999999999999999", "１２３"])
def test_arrival_counts_when_the_time_makes_no_sense(time: str) -> None:
    assert read(CreateTime=time).sent_at == NOW


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\U0001f469\u200d\U0001f467\U0001f1e8\U0001f1f3",
        "مرحبا بالعالم",
        "\u202ereversed",
        "]]>",
        "<b>&amp;</b>",
        "' OR 1=1 --",
        "汉" * 3000,
    ],
)
def test_text_comes_back_as_it_was_written(text: str) -> None:
    assert read(Content=text).text == text


def test_forbidden_characters_are_dropped_and_the_rest_is_read() -> None:
    body = render_xml(FIELDS).replace("我要退货".encode(), "我要\x00\x08退货\x1b".encode())
    assert read_body(body).text == "我要退货"


LAUGHS = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><xml><ToUserName>&b;</ToUserName></xml>'
OUTSIDE = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><xml><Content>&e;</Content></xml>'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"success",
        b"<xml></xml>",
        b"<xml><ToUserName>a</ToUserName></xml>",
        render_xml(FIELDS)[:-20],
        render_xml(FIELDS).replace("我".encode(), b"\xff\xfe"),
        render_xml(FIELDS).decode().encode("utf-16"),
        b'<?xml version="1.0"?>' + LAUGHS,
        OUTSIDE,
        b"<xml>" + b"<a>" * 100_000 + b"</a>" * 100_000 + b"</xml>",
        b"<xml>" + b" " * BODY_LIMIT + b"</xml>",
    ],
    ids=[
        "empty",
        "json",
        "word",
        "bare",
        "half",
        "truncated",
        "bytes",
        "utf16",
        "laughs",
        "outside",
        "deep",
        "huge",
    ],
)
def test_body_is_named_unreadable_when_it_is_not_a_message(body: bytes) -> None:
    with pytest.raises(errors.UnreadablePayload):
        read_body(body)
    assert codec.identify(body) == codec.identify(body)


WRITABLE = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="\ufffe\uffff"))


@given(values=st.dictionaries(st.sampled_from(["Content", "Label", "Title", "EventKey"]), WRITABLE))
def test_written_xml_reads_back(values: dict[str, str]) -> None:
    parsed = parse_fields(render_xml(values))
    assert parsed == {name: value.strip() for name, value in values.items()}


@given(text=st.text())
def test_passive_reply_is_one_text_whatever_it_contains(text: str) -> None:
    body = codec.render_passive_reply(recipient="oAbC", account="gh_1", text=text, sent_at=NOW)
    root = ElementTree.fromstring(body.decode())
    assert [child.tag for child in root] == ["ToUserName", "FromUserName", "CreateTime", "MsgType", "Content"]
    assert (root[0].text, root[1].text, root[3].text) == ("oAbC", "gh_1", "text")


@given(text=st.text(alphabet=st.characters(codec="utf-8")))
def test_custom_send_is_real_utf8(text: str) -> None:
    body = codec.render_custom_send("oAbC", text)
    assert json.loads(body)["text"]["content"] == text


def test_custom_send_has_no_escapes_when_the_text_is_chinese() -> None:
    assert "你好".encode() in codec.render_custom_send("oAbC", "你好")
    assert (
        json.loads(codec.render_custom_send("oAbC", "lone \ud800 half"))["text"]["content"] == "lone ? half"
    )


def test_choices_become_a_menu() -> None:
    body = json.loads(codec.render_custom_send("oAbC", "选一个", [Choice(label="查物流", value="track")]))
    assert body["msgtype"] == "msgmenu"
    assert body["msgmenu"]["list"] == [{"id": "track", "content": "查物流"}]


def test_typing_names_the_customer() -> None:
    assert json.loads(codec.render_typing("oAbC")) == {"touser": "oAbC", "command": "Typing"}
