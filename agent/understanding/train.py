"""Builds the shop's models from the labelled lines in `data/`: `python -m agent.understanding.train --out DIR`.

Run by `make models` and after every change of the data. The same data give the same files, byte for byte, on one machine
with OMP_NUM_THREADS=1 (several threads add numbers in another order). `models.json` keeps the fingerprint of what they
were made from, and a test refuses models that are not those of the present data. With another embedder
(`--embedder NAME`) the same lines make models for its space.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agent.understanding import normalise, trained
from agent.understanding.acts import NO_ACT
from agent.understanding.heads import FloatMatrix, TextHead
from agent.understanding.learning import Labelled, learn
from agent.understanding.normalise import normalise_query
from agent.understanding.scripts import dominant_script
from foundation.embedders.bundled import BundledEmbedder
from foundation.embedders.cached import CachedEmbedder
from foundation.embedders.contract import Embedder
from foundation.embedders.sentence_transformer import SentenceTransformerEmbedder
from foundation.errors import ConfigurationError

DATA = Path(__file__).parent / "data"
FILES = ("intents.jsonl", "acts.jsonl", "emotions.jsonl", "wants_human.jsonl", "parallel.jsonl")
RECIPE = 2
"""Raise it when the code would make other models of the same data."""
OUTSIDE = "out_of_scope"
BUCKETS = 2**13
ACTS_IN_ORDER_TOO = frozenset({"thanks", "goodbye"})
"""Acts that are intents as well."""


async def train(out: Path, *, embedder: Embedder, data: Path = DATA) -> dict[str, Any]:
    """Returns the note that is written beside the models."""
    lines = {name: read_lines(data / name) for name in FILES}
    clouds = await _clouds(lines["parallel.jsonl"], embedder)
    heads = {
        "intent": await learn(_intents(lines), embedder, clouds=clouds, buckets=BUCKETS),
        "emotion": await _closed(_emotions(lines), embedder, clouds),
        "wants_human": await _closed(_wishes(lines), embedder, clouds),
        "acts": await _closed(_acts(lines), embedder, clouds),
    }
    note = {
        "engine": embedder.engine,
        "fingerprint": fingerprint(embedder.engine, data),
        "heads": {name: {"labels": list(head.labels), **head.about} for name, head in heads.items()},
    }
    await asyncio.to_thread(_save, out, heads, clouds, note)
    return note


async def _closed(
    labelled: Sequence[Labelled], embedder: Embedder, clouds: dict[str, FloatMatrix]
) -> TextHead:
    return await learn(labelled, embedder, clouds=clouds, closed=True, buckets=BUCKETS)


def _save(
    out: Path, heads: dict[str, TextHead], clouds: dict[str, FloatMatrix], note: dict[str, Any]
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, head in heads.items():
        head.save(out / f"{name}.npz")
    halves = {name: mean.astype(np.float16) for name, mean in clouds.items()}
    np.savez_compressed(out / trained.CLOUDS, allow_pickle=False, **halves)
    text = json.dumps(note, ensure_ascii=False, indent=1, sort_keys=True)
    (out / trained.NOTE).write_text(text + "\n", encoding="utf-8")


def fingerprint(engine: str, data: Path = DATA) -> str:
    """Of everything the models are made from: data, dialect words, engine and recipe."""
    digest = hashlib.sha256(f"{engine}|{RECIPE}".encode())
    for path in [*(data / name for name in FILES), normalise.DIALECT_FILE]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def read_lines(path: Path) -> list[dict[str, Any]]:
    lines = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            lines.append(dict(json.loads(line)))
        except ValueError as error:
            raise ConfigurationError(
                f"{path.name}, line {number} is not a JSON object: {line[:60]!r}"
            ) from error
    return lines


def _intents(lines: dict[str, list[dict[str, Any]]]) -> list[Labelled]:
    """Acts are intents too: "好的" has one, and without these lines it would get another."""
    found = [_labelled(line, "intent") for line in lines["intents.jsonl"]]
    found += [_labelled(line, "act") for line in lines["acts.jsonl"]]
    return [Labelled(one.text, None if one.label == OUTSIDE else one.label) for one in found]


def _emotions(lines: dict[str, list[dict[str, Any]]]) -> list[Labelled]:
    return [_labelled(line, "label") for line in lines["emotions.jsonl"]]


def _wishes(lines: dict[str, list[dict[str, Any]]]) -> list[Labelled]:
    """Every line of another intent is a message without the wish."""
    found = [
        Labelled(line["text"], "yes" if line["wants_human"] else "no") for line in lines["wants_human.jsonl"]
    ]
    return found + [
        Labelled(line["text"], "yes" if line["intent"] == "human" else "no")
        for line in lines["intents.jsonl"]
    ]


def _acts(lines: dict[str, list[dict[str, Any]]]) -> list[Labelled]:
    found = [_labelled(line, "act") for line in lines["acts.jsonl"]]
    for line in lines["intents.jsonl"]:
        found.append(
            Labelled(line["text"], line["intent"] if line["intent"] in ACTS_IN_ORDER_TOO else NO_ACT)
        )
    return found


def _labelled(line: dict[str, Any], key: str) -> Labelled:
    return Labelled(line["text"], line[key])


async def _clouds(lines: Sequence[dict[str, Any]], embedder: Embedder) -> dict[str, FloatMatrix]:
    """The means of the same sentences in each writing system."""
    texts = [normalise_query(line["text"]) for line in lines]
    vectors = await embedder.embed_queries(texts)
    scripts = np.array([dominant_script(text) for text in texts])
    return {str(script): vectors[scripts == script].mean(axis=0) for script in sorted(set(scripts.tolist()))}


def main() -> None:
    parser = argparse.ArgumentParser(description="Builds the models of understanding from labelled lines.")
    parser.add_argument(
        "--out", type=Path, default=trained.BUNDLED, help="directory to write the models into"
    )
    parser.add_argument("--data", type=Path, default=DATA, help="directory with the labelled lines")
    parser.add_argument(
        "--embedder", default="", help="sentence-transformers model; empty for the bundled one"
    )
    parser.add_argument(
        "--cache", type=Path, default=None, help="SQLite file that keeps vectors between runs"
    )
    chosen = parser.parse_args()
    inner = SentenceTransformerEmbedder(chosen.embedder) if chosen.embedder else BundledEmbedder()
    note = asyncio.run(train(chosen.out, embedder=CachedEmbedder(inner, chosen.cache), data=chosen.data))
    print(json.dumps(note["heads"], ensure_ascii=False))


if __name__ == "__main__":
    main()
