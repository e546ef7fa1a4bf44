"""Files that customers send: looked at by their first bytes, capped, kept sealed under a random name.

A download needs the signature that stands in its address (the desk and the chat page get it with the message), and is
always an attachment: nothing that a customer sent is ever shown as a page of ours.
"""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Literal

from channels.contract import Surroundings
from channels.families.live_chat import records
from channels.families.live_chat.records import Upload
from channels.families.live_chat.tokens import Pass
from channels.media import kinds
from channels.promises import Media
from foundation import errors, security
from foundation.messages import Attachment

UPLOAD_LIMIT = 5_242_880
_KINDS: dict[str, Literal["image", "video", "voice"]] = {"image": "image", "video": "video", "audio": "voice"}


class Uploads:
    def __init__(self, surroundings: Surroundings, address: str) -> None:
        self._around = surroundings
        self._address = address
        self._folder = surroundings.data_dir / "web_chat" / "uploads" / surroundings.tenant

    async def keep(self, who: Pass, name: str, body: bytes) -> Upload:
        """Raises `UnsupportedContent` for a type that is not on the list."""
        media_type = sniff(body)
        upload = Upload(
            security.random_token(24), who.conversation_id, kinds.safe_name(name), media_type, len(body)
        )
        await asyncio.to_thread(self._write, upload.id, body)
        await self._around.database.write(
            lambda connection: records.add_upload(connection, who.tenant, upload, self._around.clock())
        )
        return upload

    async def open(self, upload_id: str, key: str) -> tuple[Upload, bytes]:
        """Raises `NotFound` for a wrong signature as for a file that is not there."""
        found = None
        if security.equal(self._key(upload_id), key):
            found = await self._around.database.read(
                lambda connection: records.find_upload(connection, self._around.tenant, upload_id)
            )
        if found is None or not self._path(found.id).is_file():
            raise errors.NotFound("This file does not exist.")
        return found, await asyncio.to_thread(self._read, found.id)

    async def read(self, upload_id: str) -> Media:
        """For ourselves, without a signature. Raises `UpstreamRefused`."""
        found = await self._around.database.read(
            lambda connection: records.find_upload(connection, self._around.tenant, upload_id)
        )
        if found is None or not self._path(found.id).is_file():
            raise errors.UpstreamRefused("This file does not exist any more.", code="web_chat_no_file")
        return Media(await asyncio.to_thread(self._read, found.id), found.media_type)

    def attachment(self, upload: Upload) -> Attachment:
        return Attachment(
            kind=_KINDS.get(upload.media_type.partition("/")[0], "file"),
            url=f"{self._address}/v1/uploads/{upload.id}?key={self._key(upload.id)}",
            media_id=upload.id,
            media_type=upload.media_type,
            name=upload.name,
        )

    def _key(self, upload_id: str) -> str:
        return self._around.vault.lookup_key("web chat upload", self._around.tenant, upload_id)

    def _path(self, upload_id: str) -> Path:
        return self._folder / upload_id

    def _write(self, upload_id: str, body: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._path(upload_id).write_bytes(self._around.vault.seal(base64.b64encode(body).decode()))

    def _read(self, upload_id: str) -> bytes:
        return base64.b64decode(self._around.vault.unseal(self._path(upload_id).read_bytes()))


def sniff(body: bytes) -> str:
    if not body:
        raise errors.InvalidInput("The file is empty.", code="empty_file")
    media_type = kinds.sniff(body)
    if media_type not in kinds.KNOWN:
        raise errors.UnsupportedContent(
            "Pictures, PDF, audio and video can be sent here; this file is none of these.", code="file_type"
        )
    return media_type


def disposition(name: str) -> str:
    """Always a download here."""
    return kinds.disposition(name)
