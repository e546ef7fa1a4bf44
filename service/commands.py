"""The command `huiliu`: serve, work, ask, simulate, knowledge, evals, doctor.

The only place that reads settings and starts processes. A `ConfigurationError` or a named error ends a command with
its sentence and exit code 2; results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer
import uvicorn
from rich.console import Console as Terminal

from evals import commands as evaluations
from evals import rehearsed
from foundation import errors, telemetry
from foundation import settings as configuration
from foundation.security import Vault
from foundation.settings import Settings
from service import doctor as checks
from service import http, keys, rehearsal, wiring
from service.remotely import channels as channel_commands
from service.remotely import knowledge as knowledge_commands
from service.remotely import webhooks as webhook_commands
from service.simulate import registry as simulators
from service.simulate.contract import Options

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Huiliu: unified AI customer service.")
knowledge = typer.Typer(no_args_is_help=True, help="Articles: import, publish, search.")
channels = typer.Typer(no_args_is_help=True, help="Accounts of channels: list, form, add, test, remove.")
webhooks = typer.Typer(no_args_is_help=True, help="Webhooks: who is called when something happens.")
evals = typer.Typer(no_args_is_help=True, help="Evaluation suites.")
app.add_typer(knowledge, name="knowledge")
app.add_typer(channels, name="channels")
app.add_typer(webhooks, name="webhooks")
app.add_typer(evals, name="evals")

FAILED = 2
SOCKET_BYTES = 1_048_576
"""A frame of a WebSocket. The chat cuts its own far earlier; the console's editor sends whole articles."""
_terminal = Terminal(stderr=True)


@app.command()
def serve(
    work: Annotated[bool, typer.Option(help="Do the turns in this process, too.")] = True,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 0,
) -> None:
    """Start the service and print its address."""
    changed: dict[str, Any] = {name: value for name, value in (("host", host), ("port", port)) if value}
    settings = _settings(**changed)
    _guard(lambda: _serve(settings, work=work))


@app.command()
def work() -> None:
    """Do turns only, beside other processes that serve (needs Postgres)."""
    settings = _settings()
    _guard(lambda: _run(_work(settings)))


@app.command()
def ask(
    texts: Annotated[list[str], typer.Argument(help="What the customer says, one turn each.")],
    account: Annotated[str, typer.Option("--as", help="Signed in as this account; empty: a visitor.")] = "",
    channel: Annotated[str, typer.Option(help="On this channel.")] = "web_chat",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line a turn.")] = False,
) -> None:
    """Run the turns of one conversation, without a server and without touching anything real."""
    settings = _settings(quiet=True)
    _guard(lambda: _run(_ask(settings, texts, account=account, channel=channel, as_json=as_json)))


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
    settings = _settings(quiet=True)
    options = Options(
        vault=Vault(keys.master_key(settings)), url=url or settings.address, tenant=settings.tenants[0], user=user,
        mode=mode, duplicate=duplicate, forge=forge,
    )  # fmt: skip
    raise typer.Exit(_guard(lambda: _run(simulators.run(channel, texts, options, say=typer.echo))))


@knowledge.command("import")
def knowledge_import(
    path: Annotated[Path, typer.Argument(help="A folder of Markdown articles, or one file.")],
    publish: Annotated[bool, typer.Option(help="Make what is new or changed visible at once.")] = True,
) -> None:
    """Import articles; what did not change is left alone, a broken file is named and does not stop the rest."""
    settings = _settings(quiet=True)
    raise typer.Exit(_guard(lambda: _run(knowledge_commands.import_folder(settings, path, publish=publish))))


@knowledge.command("publish")
def knowledge_publish(
    article: Annotated[str, typer.Argument(help="The article's id.")],
    language: Annotated[str, typer.Option(help="zh or en.")] = "zh",
) -> None:
    """Publish the newest draft of an article."""
    settings = _settings(quiet=True)
    _guard(lambda: _run(knowledge_commands.publish(settings, article, language)))


@knowledge.command("search")
def knowledge_search(
    text: Annotated[str, typer.Argument(help="A customer's question.")],
    language: Annotated[str, typer.Option(help="zh or en.")] = "zh",
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Show which passages would answer a question."""
    settings = _settings(quiet=True)
    _guard(lambda: _run(knowledge_commands.search(settings, text, language, as_json=as_json)))


@channels.command("list")
def channels_list() -> None:
    """Show the accounts, whether they are open, and the address to enter at each platform."""
    settings = _settings(quiet=True)
    _guard(lambda: _run(channel_commands.show(settings)))


@channels.command("form")
def channels_form(channel: Annotated[str, typer.Argument(help="Which channel.")]) -> None:
    """Show the settings that an account of this channel has."""
    settings = _settings(quiet=True)
    _guard(lambda: _run(channel_commands.describe(settings, channel)))


@channels.command("add")
def channels_add(
    channel: Annotated[str, typer.Argument(help="Which channel.")],
    account: Annotated[
        str, typer.Argument(help="A name of yours for the account; the same again changes it.")
    ],
    values: Annotated[list[str], typer.Argument(help="NAME=VALUE each; NAME=- asks without showing.")],
) -> None:
    """Add or change an account; it is open at once."""
    settings = _settings(quiet=True)
    _guard(lambda: _run(channel_commands.add(settings, channel, account, values)))


@channels.command("test")
def channels_test(
    channel: Annotated[str, typer.Argument(help="Which channel.")],
    account: Annotated[str, typer.Argument(help="Which account.")] = "main",
) -> None:
    """Try an account's credentials with one harmless call."""
    settings = _settings(quiet=True)
    _guard(lambda: _run(channel_commands.test(settings, channel, account)))


@channels.command("remove")
def channels_remove(
    channel: Annotated[str, typer.Argument(help="Which channel.")],
    account: Annotated[str, typer.Argument(help="Which account.")],
) -> None:
    """Close an account and forget its settings."""
    settings = _settings(quiet=True)
    _guard(lambda: _run(channel_commands.remove(settings, channel, account)))


WebhookId = Annotated[str, typer.Argument(help="Its id, from `huiliu webhooks list`.")]


@webhooks.command("list")
def webhooks_list(
    events: Annotated[bool, typer.Option(help="Show what there is to hear instead.")] = False,
) -> None:
    """Show the webhooks and how they do."""
    settings = _settings(quiet=True)
    show = webhook_commands.list_events if events else webhook_commands.show
    _guard(lambda: _run(show(settings)))


@webhooks.command("add")
def webhooks_add(
    url: Annotated[str, typer.Argument(help="The receiver's address, https only.")],
    event: Annotated[list[str] | None, typer.Option(help="A type to hear; several times; none: all.")] = None,
    description: Annotated[str, typer.Option(help="For people.")] = "",
    with_text: Annotated[
        bool, typer.Option(help="With texts of messages, where the tenant allows it.")
    ] = False,
) -> None:
    """Add a webhook; its secret is shown once."""
    settings = _settings(quiet=True)
    _guard(
        lambda: _run(
            webhook_commands.add(settings, url, event or [], description=description, with_text=with_text)
        )
    )


@webhooks.command("test")
def webhooks_test(webhook: WebhookId) -> None:
    """Call it with an event that means nothing; exit code 1 when it was not taken."""
    settings = _settings(quiet=True)
    raise typer.Exit(_guard(lambda: _run(webhook_commands.test(settings, webhook))))


@webhooks.command("log")
def webhooks_log(webhook: WebhookId) -> None:
    """Show the latest deliveries."""
    settings = _settings(quiet=True)
    _guard(lambda: _run(webhook_commands.log(settings, webhook)))


@webhooks.command("replay")
def webhooks_replay(
    webhook: WebhookId,
    since: Annotated[datetime | None, typer.Option(help="Everything since then, local time.")] = None,
    delivery: Annotated[int | None, typer.Option(help="This one of the log.")] = None,
) -> None:
    """Send again, under the same ids."""
    settings = _settings(quiet=True)
    _guard(lambda: _run(webhook_commands.replay(settings, webhook, since=since, delivery=delivery)))


@webhooks.command("secret")
def webhooks_secret(webhook: WebhookId) -> None:
    """Make a new secret; the old one stays valid for a day."""
    settings = _settings(quiet=True)
    _guard(lambda: _run(webhook_commands.renew_secret(settings, webhook)))


@webhooks.command("switch")
def webhooks_switch(
    webhook: WebhookId, on: Annotated[bool, typer.Option("--on/--off", help="Which way.")] = True
) -> None:
    """Switch it on or off; what happens meanwhile is sent when it is on again."""
    settings = _settings(quiet=True)
    _guard(lambda: _run(webhook_commands.switch(settings, webhook, active=on)))


@webhooks.command("remove")
def webhooks_remove(webhook: WebhookId) -> None:
    """Remove a webhook and its log."""
    settings = _settings(quiet=True)
    _guard(lambda: _run(webhook_commands.remove(settings, webhook)))


@evals.command("run")
def evals_run(
    suites: Annotated[list[str] | None, typer.Argument(help="Names, or folders; empty: all of ours.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The run record as JSON.")] = False,
    baseline: Annotated[Path | None, typer.Option(help="Compare with this earlier record.")] = None,
    save: Annotated[Path | None, typer.Option(help="Write the record and an HTML report here.")] = None,
) -> None:
    """Run evaluation suites; exit code 1 when a threshold or the baseline is missed, 2 when a suite cannot be read."""
    settings = _settings(quiet=True)
    stage = rehearsed.RehearsedStage(settings)
    raise typer.Exit(
        _guard(lambda: evaluations.run(suites or [], stage, as_json=as_json, baseline=baseline, save=save))
    )


@app.command()
def doctor() -> None:
    """Check the configuration, say what is missing and how to mend it."""
    raise typer.Exit(_guard(lambda: _run(checks.examine(typer.echo))))


async def _work(settings: Settings) -> None:
    if not settings.database_url.startswith("postgres"):
        raise errors.ConfigurationError(
            "A worker beside a server needs Postgres: the embedded database belongs to one process. "
            "Set HUILIU_DATABASE_URL, or let `huiliu serve` do the work as well."
        )
    system = wiring.build(settings)
    await system.open()
    system.start_work()
    _terminal.print("working; stop with Ctrl-C")
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
    _terminal.print("[dim]starting; the first start prepares the knowledge base …[/dim]")
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


def _settings(*, quiet: bool = False, **changed: Any) -> Settings:
    try:
        settings = configuration.load(**changed)
    except errors.ConfigurationError as error:
        _terminal.print(f"[red]{error}[/red]")
        raise typer.Exit(FAILED) from error
    telemetry.configure(
        "error" if quiet and settings.log_level == "info" else settings.log_level, settings.log_format
    )
    return settings


def _run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def _guard(work: Callable[[], T]) -> T:
    """Named errors become a sentence; a bug keeps its traceback."""
    try:
        return work()
    except errors.ConfigurationError as error:
        _terminal.print(f"[red]{error}[/red]")
    except errors.ServiceError as error:
        _terminal.print(f"[red]{error.public_text}[/red] [dim]({error.code})[/dim]")
    raise typer.Exit(FAILED)


if __name__ == "__main__":
    sys.exit(app())
