"""From the start of the process to the first answer, with a filled knowledge base; and the memory at rest.

The installation is prepared first (articles imported, vectors cached, our modules compiled), which is not measured:
every start after the first finds it so.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from foundation import telemetry
from foundation.messages import Identifier, InboundMessage, MessageId, TenantId
from foundation.settings import load
from service import wiring

ROUNDS = 3
POLL_SECONDS = 0.01


async def prepare(folder: Path) -> None:
    system = wiring.build(load(data_dir=folder))
    await system.open()
    await system.close()


async def answer(folder: Path) -> None:
    """The child: the whole system, one question, then what it cost."""
    telemetry.configure("error", "console")
    system = wiring.build(load(data_dir=folder))
    await system.open()
    system.start_work()
    message = InboundMessage(
        tenant=TenantId("demo"), channel="web_chat", account="bench", thread=str(time.time()), text="运费多少钱",
        message_id=MessageId(str(time.time())), sender=(Identifier(namespace="web_chat", value="bench", proven=True),),
        sent_at=system.clock(),
    )  # fmt: skip
    accepted = await system.intake.accept(message, b"")
    while (state := await system.bus.depth()).waiting or state.running or state.replies_waiting:
        await system.bus.changed(POLL_SECONDS)
    print(f"answered {accepted.seq} {_resident_megabytes():.0f}", flush=True)
    await system.close()


def _resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    telemetry.configure("error", "console")
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(prepare(Path(name)))
        bare = min(
            _seconds(["-c", "import fastapi, chromadb, langgraph.graph, nicegui, sqlalchemy"])[0]
            for _ in range(ROUNDS)
        )
        runs = [_seconds(["-m", "benchmarks.start", name]) for _ in range(ROUNDS)]
    best, output = min(runs)
    print(f"process start to first answer, best of {ROUNDS}: {best:.1f} s")
    print(f"importing the libraries alone:              {bare:.1f} s   ratio {best / bare:.2f}")
    print(f"memory at rest after the answer:            {output.split()[2]} MB")


def _seconds(arguments: list[str]) -> tuple[float, str]:
    started = time.perf_counter()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.PIPE, text=True, env=environment
    ) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        seconds = time.perf_counter() - started
        child.wait()
        return (seconds if line else time.perf_counter() - started), line


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(answer(Path(sys.argv[1])))
    else:
        main()
