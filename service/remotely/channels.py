"""`huiliu channels …`: accounts of channels from the terminal, on the running server or on the installation itself."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console as Terminal
from rich.table import Table

from foundation import errors
from foundation.settings import Settings
from service.remotely.client import call, open_client


async def show(settings: Settings) -> None:
    async with open_client(settings) as client:
        answer = await call(client, "GET", "/v1/channels")
    table = Table(title="Channels")
    for name in (
        "channel",
        "account",
        "state",
        "last in",
        "last out",
        "failed",
        "token",
        "quota",
        "refused",
        "dead",
    ):
        table.add_column(name, overflow="fold")
    for one in answer["accounts"]:
        moments = [(one[name] or "")[:16].replace("T", " ") for name in ("last_in", "last_out")]
        refused, failed = sum(one["refused"].values()), _share(one)
        numbers = [str(number or "") for number in (refused, one["dead"])]
        table.add_row(
            one["channel"], one["account"], _state(one), *moments, failed, _token(one), _quota(one), *numbers
        )
    Terminal().print(table)
    typer.echo("Addresses for the platforms:")
    for one in answer["accounts"]:
        if one["hook"]:
            secret = "  (contains a secret)" if one["hook_is_secret"] else ""
            typer.echo(f"  {one['channel']} {one['account']}: {one['hook']}{secret}")
    for kind in answer["kinds"]:
        if kind["closed"]:
            typer.echo(f"{kind['name']}: {kind['closed']}")


async def describe(settings: Settings, channel: str) -> None:
    """The settings of a channel, for whoever is about to add an account."""
    async with open_client(settings) as client:
        fields = await call(client, "GET", f"/v1/channels/{channel}/form")
    for field in fields:
        default = f" (default {field['default']})" if field["default"] else ""
        secret = " [secret]" if field["secret"] else ""
        typer.echo(f"{field['name']}{secret}{default}\n    {field['description']}")


async def add(settings: Settings, channel: str, account: str, values: list[str]) -> None:
    """`values`: NAME=VALUE each; a value that is "-" is asked for, without showing it."""
    given: dict[str, Any] = {}
    for pair in values:
        name, found, value = pair.partition("=")
        if not found or not name:
            raise errors.InvalidInput(f"{pair!r} is not NAME=VALUE.", code="bad_argument")
        given[name] = typer.prompt(name, hide_input=True) if value == "-" else value
    async with open_client(settings) as client:
        saved = await call(client, "PUT", f"/v1/channels/{channel}/accounts/{account}", {"settings": given})
    typer.echo(f"{channel} {account}: {_state(saved)}.")
    if saved["hook"]:
        secret = " It contains a secret: enter it there and nowhere else." if saved["hook_is_secret"] else ""
        typer.echo(f"The address for the platform: {saved['hook']}{secret}")


async def remove(settings: Settings, channel: str, account: str) -> None:
    async with open_client(settings) as client:
        await call(client, "DELETE", f"/v1/channels/{channel}/accounts/{account}")
    typer.echo(f"{channel} {account} is removed.")


async def test(settings: Settings, channel: str, account: str) -> None:
    async with open_client(settings) as client:
        answer = await call(client, "POST", f"/v1/channels/{channel}/accounts/{account}/test")
    typer.echo(answer["answer"])


def _state(one: dict[str, Any]) -> str:
    if one["problem"]:
        return f"not open: {one['problem']}"
    if one["is_demo"]:
        return "demo, no platform"
    return "open" if one["is_open"] else "closed"


def _share(one: dict[str, Any]) -> str:
    return f"{one['failed']} of {one['sent'] + one['failed']}" if one["failed"] else ""


def _token(one: dict[str, Any]) -> str:
    """The worst of them: the first that is not given, else until when they are good."""
    failing = [
        token["failure"]
        for token in one["tokens"]
        if (token["failed_at"] or "") > (token["fetched_at"] or "")
    ]
    if failing and not one["is_demo"]:
        return f"none given: {failing[0]}"
    ends = [token["expires_at"] for token in one["tokens"] if token["expires_at"]]
    if ends:
        return f"until {min(ends)[11:16]}"
    return "not fetched yet" if one["needs_token"] else ""


def _quota(one: dict[str, Any]) -> str:
    windows = one["windows"]
    if windows is None:
        return ""
    return f"{windows['open']} open" + (f", {windows['used_up']} used up" if windows["used_up"] else "")
