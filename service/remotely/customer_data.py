"""`huiliu customers import`: a table of customers from the terminal, into the running server or the installation itself."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import typer
from rich.console import Console as Terminal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from foundation import errors
from foundation.settings import Settings
from service.remotely.client import call, open_client

PATH = "/v1/customer-imports"
LOOK_SECONDS = 0.3
_ENDED = ("done", "partly", "failed")


async def take_in(
    settings: Settings, file: Path, *, maps: Sequence[str], source: str, preview: bool, left_out: Path | None
) -> int:
    """Exit code 1 when a row stays out."""
    async with open_client(settings) as client:
        brought = await _bring(client, file, source)
        one = f"{PATH}/{brought['id']}"
        if maps:
            try:
                body = {"targets": _mapped(brought["columns"], maps)}
                brought = await call(client, "PUT", f"{one}/mapping", body)
            except errors.InvalidInput:
                await call(client, "DELETE", one)  # the file is here, and will be brought again
                raise
        _show(brought)
        shown = brought["preview"]
        if "problem" in shown:
            await call(client, "DELETE", one)
            raise errors.InvalidInput(f"{shown['message']} Use --map COLUMN=TARGET.", code=shown["problem"])
        if left_out is not None and shown["broken"]:
            await _fetch_left_out(client, one, left_out)
        if preview:
            await call(client, "DELETE", one)
            typer.echo("Nothing was changed.")
            return 1 if shown["broken"] else 0
        await call(client, "POST", f"{one}/start", None, headers={"Idempotency-Key": secrets.token_hex(16)})
        ended = await _watch(client, one)
        if left_out is not None and ended["progress"]["left_out"]:
            await _fetch_left_out(client, one, left_out)
    return _tell(ended)


async def _bring(client: httpx.AsyncClient, file: Path, source: str) -> dict[str, Any]:
    content = await asyncio.to_thread(file.read_bytes)
    found: dict[str, Any] = await call(
        client, "POST", PATH, None, content=content, params={"name": file.name, "source": source}
    )
    return found


def _mapped(columns: Sequence[dict[str, Any]], maps: Sequence[str]) -> list[str]:
    """Raises `InvalidInput` for a column that the file does not have."""
    targets = {column["header"]: column["target"] for column in columns}
    for one in maps:
        header, marked, target = one.rpartition("=")
        if not marked or header not in targets:
            raise errors.InvalidInput(
                f"--map is COLUMN=TARGET with one of the columns {', '.join(targets)}.", code="unknown_column"
            )
        targets[header] = target
    return [targets[column["header"]] for column in columns]


def _show(brought: dict[str, Any]) -> None:
    table = Table(title=f"{brought['name']}: {brought['rows']} rows, {brought['encoding']}")
    for name in ("column", "is", "for example"):
        table.add_column(name, overflow="fold")
    for column in brought["columns"]:
        table.add_row(column["header"], column["target"] or "(left out)", ", ".join(column["samples"]))
    terminal = Terminal()
    terminal.print(table)
    shown = brought["preview"]
    if "problem" in shown:
        return
    terminal.print(
        f"[green]{shown['new']} new[/], [cyan]{shown['updates']} updates[/], {shown['unchanged']} unchanged, "
        f"{shown['repeats']} repeated in the file, [yellow]{shown['merges_proposed']} may be one person with another[/], "
        f"[red]{shown['broken']} stay out[/]"
    )
    for problem in shown["broken_sample"][:10]:
        where = f"row {problem['row']}" + (f", {problem['column']}" if problem["column"] else "")
        typer.echo(f"  {where}: {problem['en']}")


async def _watch(client: httpx.AsyncClient, one: str) -> dict[str, Any]:
    with Progress(
        TextColumn("importing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Terminal(stderr=True)
    ) as bar:  # fmt: skip
        task = bar.add_task("", total=None)
        while True:
            found: dict[str, Any] = await call(client, "GET", one)
            done = found["progress"]
            bar.update(task, total=done["rows"] or None, completed=done["done"])
            if found["state"] in _ENDED:
                return found
            await asyncio.sleep(LOOK_SECONDS)


async def _fetch_left_out(client: httpx.AsyncClient, one: str, path: Path) -> None:
    answer = await client.get(f"{one}/broken-rows")
    if answer.is_success:
        await asyncio.to_thread(path.write_bytes, answer.content)
        typer.echo(f"The rows that stay out, with their reasons: {path}")


def _tell(ended: dict[str, Any]) -> int:
    done = ended["progress"]
    typer.echo(
        f"{done['new']} new, {done['updated']} updated, {done['unchanged']} unchanged, {done['left_out']} stayed out."
    )
    for one in done["aside"]:
        typer.echo(
            f"Set aside: rows {one['first_row']} to {one['last_row']} ({one['error']}); try again with "
            f"POST {PATH}/{ended['id']}/retry.",
            err=True,
        )
    if ended["state"] == "failed":
        typer.echo("The file could not be taken in.", err=True)
    return 0 if ended["state"] == "done" and not done["left_out"] else 1
