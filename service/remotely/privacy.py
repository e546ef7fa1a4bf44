"""`huiliu privacy …`: erase a customer from the terminal, write a copy of their data, see how far erasures are, erase again after a restore, on the running server or on the
installation itself. Shown are ids and numbers, never the person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from foundation import errors
from foundation.settings import Settings
from operations.privacy.copying import MEDIA_TYPES
from service.remotely import terminal
from service.remotely.client import call, open_client

commands = typer.Typer(
    no_args_is_help=True,
    help="What people may ask about their data: consents, export, erase, status, replay.",
)


@commands.command("erase")
def erase_command(
    customer: Annotated[str, typer.Argument(help="An id of the customer, of any time.")],
    reason: Annotated[str, typer.Option(help="Why, without naming the person: it is kept.")] = "",
    identity: Annotated[str, typer.Option(help="Whose proven group is meant, where there are several.")] = "",
    preview: Annotated[bool, typer.Option(help="Only show what would go.")] = False,
) -> None:
    """Erase everything that is kept about a customer; it cannot be taken back."""
    settings = terminal.settings(quiet=True)
    terminal.guard(
        lambda: terminal.run(erase(settings, customer, reason=reason, identity=identity, preview=preview))
    )


@commands.command("status")
def status_command(
    erasure: Annotated[str, typer.Argument(help="The erasure; empty: the newest ones.")] = "",
) -> None:
    """Show how far an erasure is, with its receipts."""
    settings = terminal.settings(quiet=True)
    terminal.guard(lambda: terminal.run(status(settings, erasure)))


@commands.command("replay")
def replay_command() -> None:
    """After a copy of the database was put back: erase again who was erased since it was made."""
    settings = terminal.settings(quiet=True)
    terminal.guard(lambda: terminal.run(replay(settings)))


@commands.command("export")
def export_command(
    customer: Annotated[str, typer.Argument(help="An id of the customer, of any time.")],
    file: Annotated[
        Path, typer.Argument(help="Where to write it; .json, .html or .zip says what is written.")
    ],
    reason: Annotated[str, typer.Option(help="Why; it is kept.")] = "",
    identity: Annotated[str, typer.Option(help="Whose proven group is meant, where there are several.")] = "",
    language: Annotated[str, typer.Option(help="Of the page: zh or en.")] = "zh",
) -> None:
    """Write a copy of everything that is kept about a customer, to hand to them."""
    settings = terminal.settings(quiet=True)
    terminal.guard(
        lambda: terminal.run(
            export(settings, customer, file, reason=reason, identity=identity, language=language)
        )
    )


@commands.command("consents")
def consents_command(
    customer: Annotated[str, typer.Argument(help="An id of the customer, of any time.")],
    purpose: Annotated[
        str, typer.Option(help="quality, profiling, marketing, training or guardian: what is changed.")
    ] = "",
    state: Annotated[str, typer.Option(help="granted, refused or withdrawn.")] = "",
    reason: Annotated[str, typer.Option(help="Why; it is kept.")] = "",
) -> None:
    """Show what a customer lets their data be used for; with a purpose and a state, change it."""
    settings = terminal.settings(quiet=True)
    terminal.guard(
        lambda: terminal.run(consents(settings, customer, purpose=purpose, state=state, reason=reason))
    )


async def consents(settings: Settings, customer: str, *, purpose: str, state: str, reason: str) -> None:
    address = f"/v1/customers/{customer}/consents"
    async with open_client(settings) as client:
        if purpose:
            body = {"purpose": purpose, "state": state, "reason": reason}
            found = await call(client, "PUT", address, body)
        else:
            found = await call(client, "GET", address)
    for one in found["consents"]:
        said = one["said"]
        since = f", {said['state']} by {said['source']}" if said else ", nothing was said"
        typer.echo(f"{one['purpose']}: {'yes' if one['allowed'] else 'no'}{since}")
    if found["child"]:
        typer.echo("A child: nothing optional is done without a guardian's consent.")


async def export(
    settings: Settings, customer: str, file: Path, *, reason: str, identity: str, language: str
) -> None:
    """Nothing is overwritten and nothing is made for a name of a file that says no format. Raises `InvalidInput`."""
    kind = _kind_of(file)
    async with open_client(settings) as client:
        body = {"identity": identity, "reason": reason}
        made = (await call(client, "POST", f"/v1/customers/{customer}/exports", body))["export"]
        address = f"/v1/privacy/exports/{made['id']}"
        answer = await client.get(address, params={"format": kind, "language": language})
        answer.raise_for_status()
        _write(file, answer.content)
    counts = ", ".join(f"{table} {rows}" for table, rows in sorted(made["counts"].items()))
    typer.echo(f"{made['id']}: {file} ({counts})")


def _kind_of(file: Path) -> str:
    kind = file.suffix.removeprefix(".")
    if kind not in MEDIA_TYPES or file.exists():
        raise errors.InvalidInput("Name a new file that ends in .json, .html or .zip.", code="bad_file_name")
    return kind


def _write(file: Path, content: bytes) -> None:
    """For its owner only, from the first byte on."""
    file.touch(mode=0o600)
    file.write_bytes(content)


async def replay(settings: Settings) -> None:
    async with open_client(settings) as client:
        found = (await call(client, "POST", "/v1/privacy/replay", {}))["erasures"]
    for one in found:
        _print(one)
    if not found:
        typer.echo("Nobody has come back: nothing to erase again.")


async def erase(settings: Settings, customer: str, *, reason: str, identity: str, preview: bool) -> None:
    async with open_client(settings) as client:
        address = f"/v1/customers/{customer}/erasures"
        asked = {"identity": identity, "preview": True}
        found = (await call(client, "POST", address, asked))["preview"]
        typer.echo(
            f"{found['customer_id']}: {len(found['identities'])} identities, {found['conversations']} conversations; "
            f"{len(found['stays'])} identities stay, because they are only likely the same person"
        )
        for place, rows in sorted(found["counts"].items()):
            typer.echo(f"  {place}: {rows}")
        if preview:
            return
        done = await call(client, "POST", address, {"identity": identity, "reason": reason})
        _print(done["erasure"])


async def status(settings: Settings, erasure: str) -> None:
    async with open_client(settings) as client:
        if erasure:
            _print((await call(client, "GET", f"/v1/privacy/erasures/{erasure}"))["erasure"])
            return
        found = (await call(client, "GET", "/v1/privacy/erasures"))["erasures"]
    for one in found:
        typer.echo(f"{one['id']}: {one['state']}, {len(one['receipts'])} of {len(one['steps'])} steps")
    if not found:
        typer.echo("Nobody was erased yet.")


def _print(one: dict[str, Any]) -> None:
    typer.echo(f"{one['id']}: {one['state']}, {len(one['receipts'])} of {len(one['steps'])} steps")
    for receipt in one["receipts"]:
        counts = ", ".join(f"{place} {rows}" for place, rows in sorted(receipt["counts"].items()))
        typer.echo(f"  {receipt['step']}: {counts}")
