"""Stages for tests of the evaluation itself: a subject that is always right, one that never is, and a small shop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

from evals.graders.seen import Rows
from evals.world import Classifier, Mind, Retrieved, Shelf, Spoken, Trainer, Understood, World
from foundation.embedders.contract import Embedder, FloatMatrix, unit_rows


class LetterEmbedder:
    """Counts of letters: enough for examples whose labels are spelt differently."""

    engine = "letters"
    dimensions = 64

    def __init__(self) -> None:
        self.embedded = 0

    async def embed_queries(self, texts: Sequence[str]) -> FloatMatrix:
        self.embedded += len(texts)
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for letter in text:
                row[ord(letter) % self.dimensions] += 1
        return unit_rows(rows)

    async def embed_passages(self, texts: Sequence[str]) -> FloatMatrix:
        return await self.embed_queries(texts)


class OracleStage:
    """`answers` maps a text to what is understood; what is not there is misunderstood. The shop sells one thing."""

    def __init__(
        self, answers: Mapping[str, str], articles: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self.answers = answers
        self.articles = articles or {}
        self.embedder = LetterEmbedder()
        self.worlds_open = 0

    @asynccontextmanager
    async def mind(self) -> AsyncIterator[Mind]:
        yield _OracleMind(self)

    def trainer(self) -> Trainer:
        return _NearestTrainer()

    @asynccontextmanager
    async def shelf(self, articles: Path) -> AsyncIterator[Shelf]:
        yield _OracleShelf(self)

    @asynccontextmanager
    async def world(self, *, account: str, channel: str) -> AsyncIterator[World]:
        self.worlds_open += 1
        yield SmallShop(account)
        self.worlds_open -= 1

    async def about(self) -> Mapping[str, Any]:
        return {"stage": "oracle"}


class _OracleMind:
    def __init__(self, stage: OracleStage) -> None:
        self._stage = stage

    @property
    def embedder(self) -> Embedder:
        return self._stage.embedder

    async def understand(self, text: str) -> Understood:
        if text == "crash":
            raise RuntimeError("the subject is broken")
        name = self._stage.answers.get(text, "wrong")
        outside = name == "out_of_scope"
        return Understood(
            likeliest="wrong" if outside else name,
            status="out_of_scope" if outside else "sure",
            confidence=0.1 if outside or name == "wrong" else 0.9,
            out_of_scope=0.9 if outside else 0.1,
            language=name,
            emotion=name,
            valence=-0.9 if name == "angry" else 0.0,
            anger=0.9 if name == "angry" else 0.1,
        )


class _NearestTrainer:
    def prepare(self, text: str) -> str:
        return text.lower()

    async def learn(self, examples: Sequence[tuple[str, str | None]], embedder: Embedder) -> Classifier:
        vectors = await embedder.embed_queries([text.lower() for text, _label in examples])
        return _Nearest([label for _text, label in examples], vectors, embedder)


class _Nearest:
    def __init__(self, labels: Sequence[str | None], vectors: FloatMatrix, embedder: Embedder) -> None:
        self._labels, self._vectors, self._embedder = labels, vectors, embedder

    async def understand(self, text: str) -> Understood:
        vector = (await self._embedder.embed_queries([text.lower()]))[0]
        name = self._labels[int((self._vectors @ vector).argmax())]
        status = "out_of_scope" if name is None else "sure"
        return Understood(name or "", status, 0.8, 0.9 if name is None else 0.1, "", "", 0.0, 0.0)


class _OracleShelf:
    def __init__(self, stage: OracleStage) -> None:
        self._stage = stage

    async def search(self, question: str, *, language: str) -> Retrieved:
        found = tuple(self._stage.articles.get(question, ()))
        return Retrieved(found, 0.9 if found else 0.1, refused=not found)


class SmallShop:
    """Sells lamps. Returns one after a question for the order number and a yes; anger gets a person."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._asked = ""
        self._returned = False

    async def say(self, text: str) -> Spoken:
        if "crash" in text:
            raise ConnectionError("the shop is closed")
        if "!!!" in text:
            return Spoken("A colleague will help you.", intent="complaint", emotion="angry", handoff="anger")
        if "return" in text and not self._account:
            return Spoken("Please sign in first.", intent="return_request")
        if "return" in text:
            self._asked = "order"
            return Spoken("What is the order number?", intent="return_request")
        if text.startswith("HL"):
            self._asked = "yes"
            return Spoken("Return the lamp for 189.00? The fee is 5.", choices=("Yes", "No"))
        if text == "yes" and self._asked == "yes":
            self._returned = True
            return Spoken("Done.", tools=({"name": "return_request", "ok": True},))
        quote = {"article": "fees", "quote": "The fee is 5.", "title": "Fees", "version": 1}
        return Spoken("The fee is 5.", intent="fee", citations=(quote,))

    async def sign_in(self, account: str) -> Spoken:
        self._account = account
        return Spoken(f"Welcome {account}.")

    async def decide(self, *, approve: bool, note: str) -> Spoken:
        return Spoken("Approved." if approve else f"Refused: {note}")

    async def state(self) -> Rows:
        rows: list[Mapping[str, Any]] = [{"order_no": "HL7", "state": "delivered"}]
        returned = [{"id": 1, "order_no": "HL7", "reason": "dislike", "amount": "189.00"}]
        return {"orders": rows, "returns": returned if self._returned else []}
