"""The command `huiliu`: serve, work, ask, simulate, knowledge, channels, customers, webhooks, privacy, keys, evals, move, doctor.

The only place that reads settings and starts processes. A `ConfigurationError` or a named error ends a command with
its sentence and exit code 2; results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import uvicorn

from evals import commands as evaluations
from evals import rehearsed
from foundation import errors
from foundation.security import Vault
from foundation.settings import Settings
from foundation.storage import moving
from foundation.storage.database import Database
from foundation.storage.key_store import KeyStore
from service import doctor as checks
from service import http, keys, rehearsal, revise, wiring
from service.remotely import commands as remotely
from service.remotely import keys as key_commands
from service.remotely import knowledge as knowledge_commands
from service.remotely import privacy as privacy_commands
from service.remotely import terminal
from service.simulate import registry as simulators
from service.simulate.contract import Options

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Huiliu: unified AI customer service.")
knowledge = typer.Typer(no_args_is_help=True, help="Articles: import, publish, search.")
evals = typer.Typer(no_args_is_help=True, help="Evaluation suites.")
app.add_typer(knowledge, name="knowledge")
app.add_typer(remotely.channels, name="channels")
app.add_typer(remotely.customers, name="customers")
app.add_typer(remotely.webhooks, name="webhooks")
app.add_typer(privacy_commands.commands, name="privacy")
app.add_typer(key_commands.commands, name="keys")
app.add_typer(evals, name="evals")

SOCKET_BYTES = 1_048_576
"""A frame of a WebSocket. The chat cuts its own far earlier; the console's editor sends whole articles."""


@app.command()
def serve(
    work: Annotated[bool, typer.Option(help="Do the turns in this process, too.")] = True,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 0,
) -> None:
    """Start the service and print its address."""
    changed: dict[str, Any] = {name: value for name, value in (("host", host), ("port", port)) if value}
    settings = terminal.settings(**changed)
    terminal.guard(lambda: _serve(settings, work=work))


@app.command()
def work() -> None:
    """Do turns only, beside other processes that serve (needs Postgres)."""
    settings = terminal.settings()
    terminal.guard(lambda: terminal.run(_work(settings)))


@app.command()
def ask(
    texts: Annotated[list[str], typer.Argument(help="What the customer says, one turn each.")],
    account: Annotated[str, typer.Option("--as", help="Signed in as this account; empty: a visitor.")] = "",
    channel: Annotated[str, typer.Option(help="On this channel.")] = "web_chat",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line a turn.")] = False,
) -> None:
    """Run the turns of one conversation, without a server and without touching anything real."""
    settings = terminal.settings(quiet=True)
    terminal.guard(
        lambda: terminal.run(_ask(settings, texts, account=account, channel=channel, as_json=as_json))
    )


@app.command()
def simulate(
    channel: Annotated[str, typer.Argument(help="Which platform to play, e.g. wechat_oa.")],
    texts: Annotated[list[str], typer.Argument(help="What the customer writes.")],
    user: Annotated[str, typer.Option(help="Name of the customer on the platform.")] = "guest",
    mode: Annotated[
        Literal["plain", "secure"], typer.Option(help="Signed only, or encrypted as well.")
    ] = "secure",
    url: Annotated[str, typer.Option(help="The running server; empty: the one of the settings.")] = "",
    duplicate: Annotated[int, typer.Option(min=1, help="Send each delivery this many times at once.")] = 1,
    forge: Annotated[bool, typer.Option(help="Sign wrongly, and show the refusal.")] = False,
) -> None:
    """Play a platform against the running server, and print what the customer would see."""
    settings = terminal.settings(quiet=True)
    options = Options(
        vault=Vault(keys.master_key(settings)), url=url or settings.address, tenant=settings.tenants[0], user=user,
        mode=mode, duplicate=duplicate, forge=forge,
    )  # fmt: skip
    raise typer.Exit(
        terminal.guard(lambda: terminal.run(simulators.run(channel, texts, options, say=typer.echo)))
    )


@knowledge.command("import")
def knowledge_import(
    path: Annotated[Path, typer.Argument(help="A folder of Markdown articles, or one file.")],
    publish: Annotated[bool, typer.Option(help="Make what is new or changed visible at once.")] = True,
) -> None:
    """Import articles; what did not change is left alone, a broken file is named and does not stop the rest."""
    settings = terminal.settings(quiet=True)
    raise typer.Exit(
        terminal.guard(
            lambda: terminal.run(knowledge_commands.import_folder(settings, path, publish=publish))
        )
    )


@knowledge.command("publish")
def knowledge_publish(
    article: Annotated[str, typer.Argument(help="The article's id.")],
    language: Annotated[str, typer.Option(help="zh or en.")] = "zh",
) -> None:
    """Publish the newest draft of an article."""
    settings = terminal.settings(quiet=True)
    terminal.guard(lambda: terminal.run(knowledge_commands.publish(settings, article, language)))


@knowledge.command("search")
def knowledge_search(
    text: Annotated[str, typer.Argument(help="A customer's question.")],
    language: Annotated[str, typer.Option(help="zh or en.")] = "zh",
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Show which passages would answer a question."""
    settings = terminal.settings(quiet=True)
    terminal.guard(lambda: terminal.run(knowledge_commands.search(settings, text, language, as_json=as_json)))


@evals.command("run")
def evals_run(
    suites: Annotated[list[str] | None, typer.Argument(help="Names, or folders; empty: all of ours.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The run record as JSON.")] = False,
    baseline: Annotated[Path | None, typer.Option(help="Compare with this earlier record.")] = None,
    save: Annotated[Path | None, typer.Option(help="Write the record and an HTML report here.")] = None,
) -> None:
    """Run evaluation suites; exit code 1 when a threshold or the baseline is missed, 2 when a suite cannot be read."""
    settings = terminal.settings(quiet=True)
    stage = rehearsed.RehearsedStage(settings)
    raise typer.Exit(
        terminal.guard(
            lambda: evaluations.run(suites or [], stage, as_json=as_json, baseline=baseline, save=save)
        )
    )


@app.command()
def move(
    url: Annotated[str, typer.Argument(help="The empty database, e.g. postgresql+psycopg://user@host/name.")],
) -> None:
    """Copy the whole database into an empty one, to grow from the embedded file to Postgres; stop the service first."""
    settings = terminal.settings(quiet=True)
    terminal.guard(lambda: terminal.run(_move(settings, url)))


@app.command()
def doctor() -> None:
    """Check the configuration, say what is missing and how to mend it."""
    raise typer.Exit(terminal.guard(lambda: terminal.run(checks.examine(typer.echo))))


async def _move(settings: Settings, url: str) -> None:
    revise.declare_tables()
    vault = Vault(keys.master_key(settings))
    async with AsyncExitStack() as stack:
        source, target = Database(settings.sql_url, vault), Database(url, vault)
        for one in (source, target):
            await one.open()
            stack.push_async_callback(one.close)
        with terminal.screen.status("copying …") as status:
            moved = await moving.move(
                source, target, tell=lambda table, rows: status.update(f"copying {table}: {rows:,} rows")
            )
    taken = KeyStore(settings.key_store_url, vault).copy_to(KeyStore(settings.keys_url or url, vault))
    typer.echo(
        f"{sum(one.rows for one in moved):,} rows of {len(moved)} tables copied and compared, {taken} added keys taken along."
    )
    typer.echo("Set HUILIU_DATABASE_URL to the new database, keep the master key, and start the service.")


async def _work(settings: Settings) -> None:
    if not settings.database_url.startswith("postgres"):
        raise errors.ConfigurationError(
            "A worker beside a server needs Postgres: the embedded database belongs to one process. "
            "Set HUILIU_DATABASE_URL, or let `huiliu serve` do the work as well."
        )
    system = wiring.build(settings)
    await system.open()
    system.start_work()
    terminal.screen.print("working; stop with Ctrl-C")
    try:
        await asyncio.Event().wait()
    finally:
        await system.close()


def _serve(settings: Settings, *, work: bool) -> None:
    system = wiring.build(settings)
    service = http.application(system, work=work, on_ready=lambda: _announce(settings))
    server = uvicorn.Server(
        uvicorn.Config(
            service, host=settings.host, port=settings.port, log_level="warning", ws_ping_interval=None, ws_max_size=SOCKET_BYTES,
            timeout_graceful_shutdown=10, server_header=False,
        )
    )  # fmt: skip
    terminal.screen.print("[dim]starting; the first start prepares the knowledge base …[/dim]")
    server.run()


def _announce(settings: Settings) -> None:
    typer.echo(f"Huiliu is ready: {settings.address}")
    if settings.environment == "demo":
        typer.echo(
            f"  customers  {settings.address}/chat      staff  {settings.address}/console  (admin / huiliu-demo)"
        )


async def _ask(settings: Settings, texts: list[str], *, account: str, channel: str, as_json: bool) -> None:
    async with rehearsal.rehearse(settings) as stage:
        for text in texts:
            spoken = await stage.say(text, conversation="ask", account=account, channel=channel)
            if as_json:
                typer.echo(json.dumps(dataclasses.asdict(spoken), ensure_ascii=False))
            else:
                _print_turn(text, spoken)


def _print_turn(text: str, spoken: rehearsal.Spoken) -> None:
    typer.echo(f"› {text}")
    typer.echo(spoken.reply)
    for choice in spoken.choices:
        typer.echo(f"  · {choice['label']}")
    for citation in spoken.citations:
        typer.echo(f"  [{citation['title']} v{citation['version']}]")
    typer.echo(
        f"  ({spoken.intent or '–'} · {spoken.language} · {spoken.emotion['label']} · {spoken.milliseconds} ms"
        f"{' · → ' + spoken.handoff['reason'] if spoken.handoff else ''})\n"
    )


if __name__ == "__main__":
    sys.exit(app())
