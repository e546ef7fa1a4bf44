"""The trained models of one directory, loaded together; written by `train`, read by whoever builds an `Understander`.

A directory whose files are missing, broken or made with another embedding engine must stop the start of a process:
its vectors would be compared with those of another space, and every answer would be confidently wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent.understanding.heads import FloatMatrix, TextHead
from foundation.errors import ConfigurationError

BUNDLED = Path(__file__).parent / "models"
"""The shop's models for the bundled embedder, built from `data/` by `make models`."""
NOTE = "models.json"
CLOUDS = "clouds.npz"


@dataclass(frozen=True)
class Models:
    intent: TextHead
    emotion: TextHead
    wants_human: TextHead
    acts: TextHead
    clouds: Mapping[str, FloatMatrix]
    """Where the engine puts each writing system: for `fit_head` on intents of a user's own."""

    @classmethod
    def load(cls, directory: Path, *, engine: str) -> Models:
        made_with = read_note(directory).get("engine")
        if made_with != engine:
            raise ConfigurationError(
                f"The models in {directory.name!r} were made with the embedding engine {made_with!r}, but {engine!r} is "
                "configured. Train them again: `python -m agent.understanding.train --out DIR --embedder NAME`."
            )
        return cls(
            **{name: TextHead.load(directory / f"{name}.npz") for name in HEADS},
            clouds=_clouds(directory / CLOUDS),
        )


HEADS = ("intent", "emotion", "wants_human", "acts")


def read_note(directory: Path) -> dict[str, object]:
    try:
        note = json.loads((directory / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"There are no trained models in {directory.name!r}. Build them: `make models`."
        ) from error
    return dict(note)


def _clouds(path: Path) -> dict[str, FloatMatrix]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name].astype(np.float32) for name in stored.files}
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"The model {path.name} is missing or cannot be read. Build the models again: `make models`."
        ) from error
