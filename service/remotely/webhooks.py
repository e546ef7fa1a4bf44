"""`huiliu webhooks …`: who is called when something happens, from the terminal, on the running server or the installation itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import typer
from rich.console import Console as Terminal
from rich.table import Table

from foundation.settings import Settings
from service.remotely.client import call, open_client

PATH = "/v1/webhooks"


async def show(settings: Settings) -> None:
    async with open_client(settings) as client:
        answer = await call(client, "GET", PATH)
    table = Table(title="Webhooks")
    for name in ("id", "address", "events", "state", "delivered", "waiting", "failed"):
        table.add_column(name, overflow="fold")
    for one in answer["webhooks"]:
        counts = [str(one[name]) for name in ("delivered", "waiting", "failed")]
        table.add_row(one["id"], one["url"], ", ".join(one["types"]) or "all", _state(one), *counts)
    Terminal().print(table)
    if not answer["webhooks"]:
        typer.echo("There are none. huiliu webhooks add https://… tells another system what happens here.")


async def list_events(settings: Settings) -> None:
    async with open_client(settings) as client:
        answer = await call(client, "GET", PATH)
    for one in answer["events"]:
        typer.echo(f"{one['type']} (version {one['version']}): {one['en']}")


async def add(settings: Settings, url: str, events: list[str], *, description: str, with_text: bool) -> None:
    body = {"url": url, "types": events, "description": description, "with_text": with_text}
    async with open_client(settings) as client:
        made = await call(client, "POST", PATH, body)
    typer.echo(f"{made['id']} hears {', '.join(made['types']) or 'everything'} from now on.")
    _tell_secret(made["secret"])


async def test(settings: Settings, webhook: str) -> int:
    """Exit code 1 when the receiver did not take it."""
    async with open_client(settings) as client:
        answer = await call(client, "POST", f"{PATH}/{webhook}/test", {})
    typer.echo(f"{_answered(answer)} after {answer['milliseconds']} ms.")
    return 0 if answer["delivered"] else 1


async def log(settings: Settings, webhook: str) -> None:
    async with open_client(settings) as client:
        answer = await call(client, "GET", f"{PATH}/{webhook}/deliveries")
    table = Table(title=webhook)
    for name in ("delivery", "event", "type", "at", "state", "answer", "attempts", "ms"):
        table.add_column(name, overflow="fold")
    for one in answer["deliveries"]:
        row = (one["id"], one["event_id"], one["type"], one["at"][:19].replace("T", " "), one["state"])
        table.add_row(*map(str, (*row, one["status"] or one["error"], one["attempts"], one["milliseconds"])))
    Terminal().print(table)


async def replay(settings: Settings, webhook: str, *, since: datetime | None, delivery: int | None) -> None:
    """One delivery, or everything since a moment."""
    async with open_client(settings) as client:
        if delivery is not None:
            await call(client, "POST", f"{PATH}/{webhook}/deliveries/{delivery}/replay", {})
            typer.echo("It will be sent again, under the same id.")
            return
        moment = since.astimezone().isoformat() if since else None
        answer = await call(client, "POST", f"{PATH}/{webhook}/replay", {"since": moment})
    typer.echo(f"Of {answer['events']} events those that it hears will be sent again, under the same ids.")


async def renew_secret(settings: Settings, webhook: str) -> None:
    async with open_client(settings) as client:
        answer = await call(client, "POST", f"{PATH}/{webhook}/secret", {})
    typer.echo("For 24 hours calls carry a signature by the old secret as well.")
    _tell_secret(answer["secret"])


async def switch(settings: Settings, webhook: str, *, active: bool) -> None:
    async with open_client(settings) as client:
        found = (await call(client, "GET", PATH))["webhooks"]
        mine = next((one for one in found if one["id"] == webhook), {"url": ""})
        body = {name: mine[name] for name in ("url", "types", "description", "with_text") if name in mine}
        answer = await call(client, "PUT", f"{PATH}/{webhook}", {**body, "active": active})
    typer.echo(f"{webhook}: {_state(answer)}.")


async def remove(settings: Settings, webhook: str) -> None:
    async with open_client(settings) as client:
        await call(client, "DELETE", f"{PATH}/{webhook}")
    typer.echo(f"{webhook} is removed.")


def _tell_secret(secret: str) -> None:
    typer.echo(f"Secret, shown this once; enter it at the receiver: {secret}")


def _answered(answer: dict[str, Any]) -> str:
    if answer["status"] is None:
        return f"Nothing came back ({answer['error']})"
    return f"The receiver answered {answer['status']}"


def _state(one: dict[str, Any]) -> str:
    words = {"on": "on", "off": "off", "gone": "off: it answered 410", "failing": "off: failed for days"}
    failing = f", failing since {one['failing_since'][:16]}" if one["failing_since"] else ""
    return f"{words[one['state']]}{failing if one['state'] == 'on' else ''}"
