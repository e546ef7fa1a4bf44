"""Any sentence-transformers model, by name or by local directory, behind the same promise.

For companies that bring a larger model, and for bulk ingestion with the converted bundled weights (2 to 4
times faster on passages than the C engine, the same vectors). The library is imported by the first call:
it costs five seconds and 400 MB, which a process that never embeds this way must not pay.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from foundation.embedders.contract import FloatMatrix, readable, unit_rows
from foundation.errors import ConfigurationError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

ENGINE_FILE = "engine.txt"
"""Beside a converted model: the name of the vector space it shares with another engine."""


class SentenceTransformerEmbedder:
    """`dimensions` is known once the model is loaded; reading it earlier loads the model and blocks."""

    def __init__(self, model: str) -> None:
        self._name = model
        self._loading = threading.Lock()
        self._model: SentenceTransformer | None = None
        self.engine = _engine_name(model)

    @property
    def dimensions(self) -> int:
        return int(self._loaded().get_embedding_dimension() or 0)

    async def embed_queries(self, texts: Sequence[str]) -> FloatMatrix:
        return await asyncio.to_thread(self._encode, texts, is_query=True)

    async def embed_passages(self, texts: Sequence[str]) -> FloatMatrix:
        return await asyncio.to_thread(self._encode, texts, is_query=False)

    def _encode(self, texts: Sequence[str], *, is_query: bool) -> FloatMatrix:
        model = self._loaded()
        if not texts:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        encode = model.encode_query if is_query else model.encode_document
        vectors = encode(
            [readable(text) for text in texts], normalize_embeddings=True, show_progress_bar=False
        )
        return unit_rows(np.asarray(vectors, dtype=np.float32))

    def _loaded(self) -> SentenceTransformer:
        with self._loading:
            if self._model is None:
                from sentence_transformers import SentenceTransformer

                try:
                    self._model = SentenceTransformer(self._name, device="cpu")
                except (OSError, ValueError) as error:
                    raise ConfigurationError(
                        f"The embedding model {self._name!r} cannot be loaded. Name a model that is already on this "
                        "machine or the path of its directory, or leave the setting empty for the bundled model."
                    ) from error
            return self._model


def _engine_name(model: str) -> str:
    note = Path(model) / ENGINE_FILE
    return note.read_text(encoding="utf-8").strip() if note.is_file() else model
