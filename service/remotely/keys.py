"""`huiliu keys …`: rotate the keys of what is sealed and looked up, and see how far it is, on the running server or here."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from foundation.settings import Settings
from service.remotely import terminal
from service.remotely.client import call, open_client

commands = typer.Typer(no_args_is_help=True, help="Keys: rotate, status.")


@commands.command("rotate")
def rotate_command(reason: Annotated[str, typer.Option(help="Why; it is in the audit.")]) -> None:
    """Add a key and put everything under it, while the service runs."""
    settings = terminal.settings(quiet=True)
    terminal.guard(lambda: terminal.run(rotate(settings, reason)))


@commands.command("status")
def status_command() -> None:
    """Show which key is used and how far the last rotation is."""
    settings = terminal.settings(quiet=True)
    terminal.guard(lambda: terminal.run(status(settings)))


async def rotate(settings: Settings, reason: str) -> None:
    async with open_client(settings) as client:
        _print(await call(client, "POST", "/v1/keys/rotate", {"reason": reason}))


async def status(settings: Settings) -> None:
    async with open_client(settings) as client:
        _print(await call(client, "GET", "/v1/keys"))


def _print(found: dict[str, Any]) -> None:
    done = sum(one["done"] for one in found["steps"])
    rows = sum(one["changed"] for one in found["steps"])
    waits = ", a newer key is known and will be used soon" if found["waiting"] else ""
    typer.echo(f"key {found['key']}{waits}: {done} of {len(found['steps'])} steps done, {rows} rows under it")
