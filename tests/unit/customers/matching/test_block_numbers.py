"""The number of a block key, which stored rows are found by, is the one that it always was."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from customers.matching.blocking import number_of


@given(st.binary(min_size=15, max_size=15))
def test_number_is_the_first_eight_bytes_of_the_digest(digest: bytes) -> None:
    key = base64.b32encode(digest).decode().lower()
    assert number_of(key) == int.from_bytes(digest[:8], "big", signed=True)
