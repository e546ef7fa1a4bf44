"""The benchmark of many messages on twenty channels, small: what it claims of 50,000 must hold for every number."""

from __future__ import annotations

import pytest

from benchmarks import traffic


@pytest.mark.slow
async def test_two_workers_lose_double_and_reorder_nothing_on_twenty_channels(postgres_server: str) -> None:
    result = await traffic.measure(200, postgres_server)
    for tally in (result.at_platforms, result.in_transcripts, result.at_web_chat):
        assert (tally.lost, tally.doubled, tally.out_of_order) == (0, 0, 0), result
    assert (result.at_platforms.messages, result.in_transcripts.messages) == (200, 400)
    assert result.repeated_calls == 20
    assert not result.not_sent


def test_tally_sees_what_is_lost_doubled_and_out_of_order() -> None:
    tally = traffic.Tally()
    tally.add([0, 1, 1, 3, 2], 5)
    assert (tally.messages, tally.lost, tally.doubled, tally.out_of_order) == (5, 1, 1, 1)
