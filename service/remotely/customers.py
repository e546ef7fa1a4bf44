"""`huiliu customers …`: who is who from the terminal, on the running server or on the installation itself.

What is shown is masked as in the console; each step asks for a reason and is in the audit under the operator's name.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import typer
from rich.console import Console as Terminal
from rich.table import Table

from foundation.settings import Settings
from service.remotely.client import call, open_client


async def find(settings: Settings, text: str) -> int:
    """Exit code 1 when nobody is found."""
    async with open_client(settings) as client:
        found = (await call(client, "POST", "/v1/customers/search", {"text": text}))["customers"]
    for one in found:
        name = " ".join(part for part in (one["name"], one["account"]) if part) or "name unknown"
        typer.echo(
            f"{one['customer_id']}  {name}  (by {', '.join(one['by'])}; identities: {one['identities']})"
        )
    if not found:
        typer.echo("Nobody is found by this whole value.", err=True)
    return 0 if found else 1


async def show(settings: Settings, customer: str) -> None:
    async with open_client(settings) as client:
        whole = await call(client, "GET", f"/v1/customers/{customer}/identities")
    name = " ".join(part for part in (whole["name"], whole["account"]) if part) or "name unknown"
    table = Table(title=f"{whole['customer_id']}  {name}")
    for column in ("identity", "of", "value", "badge", "why", "conversations", "last seen"):
        table.add_column(column, overflow="fold")
    for one in whole["identities"]:
        table.add_row(
            one["id"], one["namespace"], one["value"], one["badge"], _why(one), str(one["conversations"]), _moment(one["last_seen"])
        )  # fmt: skip
    for claim in whole["claims"]:
        table.add_row("", claim["namespace"], claim["value"], "only claimed", "", "", _moment(claim["at"]))
    Terminal().print(table)
    if whole["do_not_disclose"]:
        typer.echo("Do not disclose what belongs to likely identities.")
    for conflict in whole["conflicts"]:
        typer.echo(f"conflict: {conflict['one']} and {conflict['other']} ({conflict['refused']})")
    for step in whole["operations"]:
        undone = ", undone" if step["undone"] else ""
        typer.echo(
            f"{step['number']}: {step['kind']} by {step['by']}, {_moment(step['at'])}{undone}: {step['reason']}"
        )


async def link(settings: Settings, one: str, other: str, *, reason: str) -> None:
    async with open_client(settings) as client:
        done = await call(
            client, "POST", "/v1/identities/link", {"one": one, "other": other, "reason": reason}
        )
    typer.echo(f"They are one customer: {done['customer_id']}.")


async def split(settings: Settings, identities: list[str], *, reason: str, preview: bool) -> None:
    """`preview`: only says what would go where."""
    async with open_client(settings) as client:
        shown = await call(client, "POST", "/v1/identities/split/preview", {"identities": identities})
        for side in shown["sides"]:
            goes = any(one["id"] in identities for one in side["identities"])
            names = ", ".join(f"{one['namespace']} {one['value']}" for one in side["identities"])
            typer.echo(
                f"{'goes ' if goes else 'stays'}: {names} (conversations: {len(side['conversations'])})"
            )
        if preview:
            return
        body = {"identities": identities, "reason": reason}
        done = await call(client, "POST", "/v1/identities/split", body)
    typer.echo(f"Split. Take it back with: huiliu customers undo {done['operation']}")


async def new_holder(settings: Settings, identity: str, *, reason: str) -> None:
    async with open_client(settings) as client:
        done = await call(client, "POST", f"/v1/identities/{identity}/new-holder", {"reason": reason})
    typer.echo(f"Its holder is somebody new, without a history: {done['identity']}.")


async def undo(settings: Settings, number: int, *, reason: str) -> None:
    async with open_client(settings) as client:
        await call(client, "POST", f"/v1/identities/operations/{number}/undo", {"reason": reason})
    typer.echo(f"Step {number} is taken back.")


async def reviews(settings: Settings) -> None:
    async with open_client(settings) as client:
        queue = await call(client, "GET", "/v1/reviews")
    table = Table(title=f"{queue['left']} left")
    for column in ("score", "one", "other", "for", "against"):
        table.add_column(column, overflow="fold")
    for pair in queue["pairs"]:
        reasons = [(one["label"], one["bits"]) for one in pair["reasons"]]
        speaks = [", ".join(label for label, bits in reasons if (bits > 0) is side) for side in (True, False)]
        against = ", ".join(filter(None, [speaks[1], *pair["conflicts"]]))
        table.add_row(f"{pair['score']:.4f}", pair["one"], pair["other"], speaks[0], against)
    Terminal().print(table)


async def decide(settings: Settings, one: str, other: str, *, same: bool, reason: str) -> None:
    body = {"one": one, "other": other, "same": same, "reason": reason}
    async with open_client(settings) as client:
        await call(client, "POST", "/v1/reviews/decide", body)
    typer.echo("They are one customer now." if same else "They are kept apart, and nobody is asked again.")


async def models(settings: Settings) -> None:
    async with open_client(settings) as client:
        answer = await call(client, "GET", "/v1/matching/models")
    if not answer["models"]:
        typer.echo("No model was learned yet; the one that we ship asks people and links nobody.")
    for one in answer["models"]:
        typer.echo(f"{one['version']}{' (live)' if one['live'] else ''}: {_verdict(one)}")


async def learn(settings: Settings) -> None:
    async with open_client(settings) as client:
        learned = await call(client, "POST", "/v1/matching/models/learn", {})
    typer.echo(f"Version {learned['version']}: {_verdict(learned)}. It is not live yet.")


async def make_live(settings: Settings, version: int, *, reason: str) -> None:
    """0: the model that we ship."""
    body = {"version": version or None, "reason": reason}
    async with open_client(settings) as client:
        await call(client, "POST", "/v1/matching/models/live", body)
    typer.echo(
        f"Version {version} is live." if version else "The model that we ship is live; it links nobody."
    )


def _why(one: dict[str, Any]) -> str:
    if one["badge"] == "stated":
        return f"by {one['by']}"
    score = f"{one['score']:.4f}" if one["badge"] == "likely" and one["score"] is not None else ""
    return " ".join(
        filter(None, [score, ", ".join(why["label"] for why in one["reasons"] if why["bits"] > 0)])
    )


def _verdict(one: dict[str, Any]) -> str:
    verdict = one["verdict"]
    if verdict is None:
        return f"for {one['population']} people"
    compared = "too few labels to compare with the live one"
    if verdict["loss"] is not None:
        compared = f"loss {verdict['loss']:.4f}, the live one {verdict['live_loss']:.4f}"
    return "; ".join(
        [f"{verdict['records']} records, {verdict['labels']} labels, {compared}", *verdict["problems"]]
    )


def _moment(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M}"
