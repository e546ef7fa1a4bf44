"""What a model makes of a file: the words of a voice message, the description of a picture. "" where there is no such model.

`files.Hearing` calls it with a stored file. Whatever is heard or seen is the customer's word, never an instruction: the
picture goes to the model as the customer's message under a prompt that says so, and what comes back is cut to a length.
A model that fails costs the understanding, never the message.
"""

from __future__ import annotations

from typing import Literal

import structlog

from channels import text as texts
from foundation import errors
from foundation.language_models.contract import LanguageModel, Line, Picture, Recording, SpeechModel
from foundation.messages import Attachment, TenantId
from prompts.library import Library

log = structlog.get_logger(__name__)

PROMPT = "agent/describe_picture"
DESCRIPTION_TOKENS = 250
DESCRIPTION_LENGTH = 600
"""Characters of a description that are kept."""
SIZE_LIMIT = 8_388_608
"""Bytes of what a model is given; providers take no more."""
_PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_ENDINGS = {
    "audio/wav": "wav", "audio/mp4": "m4a", "audio/ogg": "ogg", "audio/mpeg": "mp3", "audio/amr": "amr",
    "video/webm": "webm", "video/mp4": "mp4",
}  # fmt: skip
"""Of voice messages; some phones wrap the sound into a container of videos."""


class Senses:
    def __init__(self, library: Library, *, speech: SpeechModel | None, vision: LanguageModel | None) -> None:
        self._library = library
        self._speech = speech
        self._vision = vision

    async def read(
        self, tenant: TenantId, attachment: Attachment, content: bytes, *, language: str, has_text: bool
    ) -> str:
        """`has_text`: the platform has written a voice message down already."""
        if len(content) > SIZE_LIMIT:
            return ""
        try:
            if attachment.kind == "voice" and self._speech is not None and not has_text:
                return await self._heard(self._speech, attachment, content)
            if attachment.kind == "image" and self._vision is not None and attachment.media_type in _PICTURES:
                return await self._seen(self._vision, tenant, attachment, content, language)
        except (errors.UpstreamError, errors.Exhausted) as error:
            log.warning("a file was not understood", kind=attachment.kind, code=error.code)
        return ""

    async def _heard(self, model: SpeechModel, attachment: Attachment, content: bytes) -> str:
        ending = _ENDINGS.get(attachment.media_type, "bin")
        recording = Recording(content, attachment.media_type, f"voice.{ending}")
        return texts.clean((await model.transcribe(recording)).text)[0].strip()

    async def _seen(
        self, model: LanguageModel, tenant: TenantId, attachment: Attachment, content: bytes, language: str
    ) -> str:
        chosen: Literal["zh", "en"] = "en" if language == "en" else "zh"
        prompt = await self._library.render(tenant, PROMPT, chosen)
        lines = [
            Line("system", prompt.text),
            Line("user", "", picture=Picture(content, attachment.media_type)),
        ]
        answer = await model.complete(lines, prompt=prompt.digest, max_tokens=DESCRIPTION_TOKENS)
        return texts.clean(answer.text)[0].strip()[:DESCRIPTION_LENGTH]
