"""Logs without personal data, a trace id through every hop, and the counters behind `/metrics`.

`configure` is called once by the command that starts the process. Every module logs through
`structlog.get_logger(__name__)`; the trace id is bound to the context by the HTTP layer and the worker.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Literal

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from structlog.typing import EventDict, WrappedLogger

_SECRET_KEYS = re.compile(
    r"(password|secret|token|authorization|cookie|api_key|signature|text|body|address)", re.I
)
_PATTERNS = (
    (re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"), "‹email›"),
    (re.compile(r"(?<!\d)(?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?!\d)"), "‹phone›"),
    (re.compile(r"(?<!\d)\d{17}[\dXx](?!\d)"), "‹id›"),
    (re.compile(r"(?<!\d)\d{13,19}(?!\d)"), "‹number›"),
)


def redact(value: object) -> object:
    """Cut what identifies a person out of a value that goes to the log; nested values included."""
    if isinstance(value, str):
        for pattern, mark in _PATTERNS:
            value = pattern.sub(mark, value)
        return value
    if isinstance(value, dict):
        return {
            key: "‹hidden›" if _SECRET_KEYS.search(str(key)) else redact(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(inner) for inner in value]
    return value


def _redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {
        key: "‹hidden›" if key != "event" and _SECRET_KEYS.search(key) else redact(value)
        for key, value in event.items()
    }


def configure(level: str, style: Literal["console", "json"]) -> None:
    renderer = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _redact_event,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s", stream=sys.stderr)


class Metrics:
    """One set a process, made in the wiring; label values are ours (a channel's name), never a customer's."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.accepted = Counter(
            "huiliu_messages_accepted",
            "Messages accepted at the door",
            ["channel", "result"],
            registry=self.registry,
        )
        self.refused = Counter(
            "huiliu_webhooks_refused",
            "Webhooks refused at the door",
            ["channel", "code"],
            registry=self.registry,
        )
        self.turns = Counter("huiliu_turns", "Turns worked", ["event", "result"], registry=self.registry)
        self.turn_seconds = Histogram(
            "huiliu_turn_seconds",
            "Time of a turn in the worker",
            ["event"],
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self.registry,
        )
        self.replies = Counter(
            "huiliu_replies", "Replies handed to channels", ["channel", "result"], registry=self.registry
        )
        self.codes = Counter(
            "huiliu_codes",
            "One-time codes asked for, by what became of them",
            ["outcome"],
            registry=self.registry,
        )
        self.code_stops = Counter(
            "huiliu_code_stops",
            "Times that guessing stopped the one-time codes of a tenant",
            registry=self.registry,
        )
        self.handoffs = Counter(
            "huiliu_handoffs", "Conversations handed to people", ["reason"], registry=self.registry
        )
        self.model_calls = Counter(
            "huiliu_model_calls", "Language model calls", ["model", "result"], registry=self.registry
        )
        self.depth = Gauge("huiliu_bus_depth", "Entries on the bus", ["state"], registry=self.registry)
