"""Parts of the web chat that decide alone: the outgoing queue, the origins, the first bytes of a file."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.families.live_chat import uploads
from channels.families.live_chat.admission import Origins, ServerKey
from channels.families.live_chat.codec import Frame
from channels.families.live_chat.outbox import Outbox
from foundation import errors


def delta(message_id: str, index: int, text: str = "x") -> Frame:
    return {"t": "delta", "message_id": message_id, "i": index, "text": text, "next": index + 1}


async def drain(outbox: Outbox) -> list[Frame]:
    return [json.loads(await outbox.get()) for _ in range(len(outbox))]


async def test_consecutive_pieces_become_one_frame() -> None:
    outbox = Outbox()
    for index, text in enumerate("abc"):
        outbox.put(delta("m", index, text))
    outbox.put(delta("n", 0))
    assert await drain(outbox) == [{**delta("m", 0, "abc"), "next": 3}, delta("n", 0)]


async def test_passing_sights_go_first_under_pressure() -> None:
    outbox = Outbox(frames=4)
    outbox.put(delta("m", 0, "a"))
    outbox.put({"t": "typing", "who": "bot"})
    outbox.put(delta("n", 0, "b"))
    outbox.put({"t": "typing", "who": "bot"})
    assert outbox.put(delta("m", 1, "c"))
    assert await drain(outbox) == [{**delta("m", 0, "ac"), "next": 2}, delta("n", 0, "b")]


@given(
    frames=st.lists(
        st.one_of(
            st.builds(lambda seq: {"t": "message", "seq": seq}, st.integers(0, 9)),
            st.just({"t": "typing"}),
            st.builds(lambda name, text: delta(name, 0, text), st.sampled_from("mn"), st.text(max_size=5)),
        ),
        max_size=40,
    )
)
async def test_messages_and_pieces_survive_until_the_queue_is_over_full(frames: list[Frame]) -> None:
    outbox = Outbox(frames=8)
    accepted: list[Frame] = []
    for frame in frames:
        fits = outbox.put(frame)
        accepted.append(frame)
        if not fits:
            break
    assert outbox.overflowed.is_set() or len(outbox) <= 8
    left = await drain(outbox)
    messages = [frame for frame in accepted if frame["t"] == "message"]
    assert [frame for frame in left if frame["t"] == "message"] == messages
    for name in "mn":
        said = "".join(f["text"] for f in accepted if f["t"] == "delta" and f["message_id"] == name)
        assert "".join(f["text"] for f in left if f["t"] == "delta" and f["message_id"] == name) == said


async def test_reader_that_is_too_slow_is_told_apart_by_bytes_as_well() -> None:
    outbox = Outbox(size=1_000)
    assert outbox.put({"t": "message", "text": "x" * 900})
    assert not outbox.put({"t": "message", "text": "x" * 900})
    assert outbox.overflowed.is_set()


@pytest.mark.parametrize("allowed", ["shop.example.com", "ftp://shop.example.com", "https://", "null"])
def test_allow_list_that_is_no_list_of_origins_stops_the_start(allowed: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="not an origin"):
        Origins("https://care.example.com", [allowed])


def test_origins_are_compared_exactly() -> None:
    origins = Origins("https://care.example.com:443/", ["https://Shop.example.com/page", "http://[::1]:81"])
    for origin in ("https://care.example.com", "https://shop.example.com", "http://[::1]:81"):
        origins.check(origin)
    for origin in ("https://shop.example.com:444", "https://shop.example.com/", "null", ""):
        with pytest.raises(errors.NotPermitted):
            origins.check(origin)


def test_local_names_of_the_demo_are_one_place() -> None:
    origins = Origins("http://127.0.0.1:8080", [])
    origins.check("http://localhost:8080")
    assert origins.base_for("http://localhost:8080") == "http://localhost:8080"
    assert origins.base_for("https://elsewhere.example") == "http://127.0.0.1:8080"


def test_no_key_opens_a_door_that_has_none() -> None:
    assert not ServerKey("").fits("")
    assert not ServerKey("").fits(None)
    assert ServerKey("k").fits("k")


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff\xe0", "image/jpeg"), (b"GIF89a", "image/gif"),
        (b"RIFF\n\n\n\nWEBP", "image/webp"), (b"RIFF0000WAVE", "audio/wav"), (b"%PDF-1.7", "application/pdf"),
        (b"\x00\x00\x00\nftypisom", "video/mp4"), (b"\x00\x00\x00 ftypM4A ", "audio/mp4"), (b"OggS", "audio/ogg"),
        (b"ID3\x04", "audio/mpeg"), (b"#!AMR\n", "audio/amr"), (b"\x1aE\xdf\xa3", "video/webm"),
    ],
)  # fmt: skip
def test_type_is_what_the_first_bytes_say(body: bytes, media_type: str) -> None:
    assert uploads.sniff(body) == media_type


@pytest.mark.parametrize(
    "body", [b"<svg xmlns=", b"<!doctype html>", b"PK\x03\x04", b"\x7fELF", b"#!/bin/sh", b" %PDF"]
)
def test_other_files_are_refused(body: bytes) -> None:
    with pytest.raises(errors.UnsupportedContent):
        uploads.sniff(body)


def test_name_of_a_download_cannot_break_its_header() -> None:
    header = uploads.disposition('面单".png\r\nX: y')
    assert "\r" not in header
    assert header.startswith("attachment; filename=")
