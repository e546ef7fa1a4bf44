"""The store of keys is made when it is first written to, and two may be the first at the same moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage.key_store import KeyStore, Logged

AT_ONCE = 8
DEMO = TenantId("demo")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/keys.db"
    return str(request.getfixturevalue("empty_postgres_url"))


def test_an_erasure_is_logged_once_when_several_are_the_first_to_write(url: str) -> None:
    barrier, one = Barrier(AT_ONCE), Logged("era_1", ("ide_1",), 1)

    def log(_: int) -> None:
        store = KeyStore(url, Vault(b"0" * 32))
        barrier.wait()
        store.log_erasure(DEMO, one)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(log, range(AT_ONCE)))
    assert KeyStore(url, Vault(b"0" * 32)).erasures(DEMO) == [one]
