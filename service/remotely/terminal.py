"""How a command of `huiliu` begins and ends: settings read, work run, a named error as its sentence and exit code 2.

`service/commands.py` and `commands.py` here are its only users. Standard output is for results; this writes to standard error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import typer
from rich.console import Console

from foundation import errors, telemetry
from foundation import settings as configuration
from foundation.settings import Settings

T = TypeVar("T")

FAILED = 2
screen = Console(stderr=True)


def settings(*, quiet: bool = False, **changed: Any) -> Settings:
    try:
        found = configuration.load(**changed)
    except errors.ConfigurationError as error:
        screen.print(f"[red]{error}[/red]")
        raise typer.Exit(FAILED) from error
    telemetry.configure("error" if quiet and found.log_level == "info" else found.log_level, found.log_format)
    return found


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def guard(work: Callable[[], T]) -> T:
    """Named errors become a sentence; a bug keeps its traceback."""
    try:
        return work()
    except errors.ConfigurationError as error:
        screen.print(f"[red]{error}[/red]")
    except errors.ServiceError as error:
        screen.print(f"[red]{error.public_text}[/red] [dim]({error.code})[/dim]")
    raise typer.Exit(FAILED)
