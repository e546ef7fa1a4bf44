"""Pictures, sound, files and places on the desk, in a real browser."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from channels.families.live_chat import records
from channels.families.live_chat.records import Upload
from foundation.messages import Attachment, ConversationId, Identifier, InboundMessage, MessageId
from tests.browser.console_world import TENANT, World, open_world

pytestmark = pytest.mark.browser


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def picture(width: int = 240, height: int = 160) -> bytes:
    """A red square on white, as a real PNG."""
    rows = b"".join(
        b"\0"
        + b"".join(
            b"\xd0\x30\x30" if 60 < x < 180 and 40 < y < 120 else b"\xff\xff\xff" for x in range(width)
        )
        for y in range(height)
    )
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", head)
        + _chunk(b"IDAT", zlib.compress(rows))
        + _chunk(b"IEND", b"")
    )


def sound(seconds: int = 1) -> bytes:
    data = bytes(8000 * seconds)
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + len(data),
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        8000,
        8000,
        1,
        8,
        b"data",
        len(data),
    )
    return head + data


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def test_agent_sees_what_the_customer_sent(world: World) -> None:
    """Files come from our own address; a place is a link to a map; what is not there can be fetched again."""
    customer = await world.page("/chat")
    await expect(customer.locator("#status-text")).to_have_text("智能客服在线")
    for name, kind, content in (
        ("杯子.png", "image/png", picture()),
        ("语音.wav", "audio/wav", sound()),
        ("发票.pdf", "application/pdf", b"%PDF-1.7 x"),
    ):
        await customer.set_input_files("#file", {"name": name, "mimeType": kind, "buffer": content})
        await expect(customer.locator(".chip:not(.busy)", has_text=name)).to_be_visible()
        await customer.press("#text", "Enter")
        await expect(customer.locator(".chip")).to_have_count(0)
    desk = await world.log_in()
    await desk.locator(".item").first.click()
    shown = desk.locator(".attachments img.media")
    await expect(shown).to_be_visible()
    assert await shown.evaluate("one => one.decode().then(() => one.naturalWidth)") == 240
    assert str(await shown.get_attribute("src")).startswith("/v1/media/")
    player = desk.locator(".attachments audio.media")
    await expect(player).to_be_visible()
    await player.evaluate(
        "one => one.readyState >= 1 || new Promise(done => { one.onloadedmetadata = done; one.load() })"
    )
    assert round(await player.evaluate("one => one.duration")) == 1
    async with desk.expect_download() as downloading:
        await desk.locator(".attachments a", has_text="发票.pdf").click()
    assert (await downloading.value).suggested_filename == "发票.pdf"
    await expect(customer.locator("text=打不开文件")).to_be_visible()


async def test_agent_fetches_again_what_was_not_there_and_opens_a_map(world: World) -> None:
    lost = Attachment(kind="image", media_id="lost", name="面单.png")
    place = Attachment(kind="location", latitude=30.27, longitude=120.15, description="杭州市西湖区")
    for number, attachment in enumerate((lost, place)):
        message = InboundMessage(
            tenant=TENANT, channel="web_chat", account="site", thread="t1", message_id=MessageId(f"m{number}"),
            sender=(Identifier(namespace="web_chat", value="visitor-t1", proven=True),), kind=attachment.kind,
            attachments=(attachment,), sent_at=world.system.clock(),
        )  # fmt: skip
        await world.system.intake.accept(message, b"{}")
        await world.settle()
    desk = await world.log_in()
    await desk.locator(".item").first.click()
    await expect(desk.locator(".attachments .problem")).to_have_text("面单.png：未能获取（web_chat_no_file）")
    map_link = desk.locator(".attachments a", has_text="杭州市西湖区 (30.27, 120.15)")
    assert await map_link.get_attribute("href") == "https://uri.amap.com/marker?position=120.15,30.27"
    assert await map_link.get_attribute("rel") == "noopener noreferrer"
    folder = world.system.settings.data_dir / "web_chat" / "uploads" / TENANT
    await _put_upload(world, folder, "lost")
    await desk.get_by_role("button", name="重新获取").click()
    await expect(desk.locator(".attachments img.media")).to_be_visible()
    await expect(desk.locator(".attachments .problem")).to_have_count(0)


async def _put_upload(world: World, folder: Path, upload_id: str) -> None:
    """The file turns up after all."""
    content = picture()
    folder.mkdir(parents=True)
    sealed = world.system.vault.seal(base64.b64encode(content).decode())
    (folder / upload_id).write_bytes(sealed)
    upload = Upload(upload_id, ConversationId("any"), "面单.png", "image/png", len(content))
    await world.system.database.write(
        lambda connection: records.add_upload(connection, TENANT, upload, world.system.clock())
    )
