"""The commands that speak to a running server: `huiliu channels`, `huiliu customers`, `huiliu webhooks`.

`service/commands.py` puts them under `huiliu`; what each does is in the module of its name.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from service.remotely import channels as channel_commands
from service.remotely import customer_data as data_commands
from service.remotely import customers as customer_commands
from service.remotely import terminal
from service.remotely import webhooks as webhook_commands

channels = typer.Typer(no_args_is_help=True, help="Accounts of channels: list, form, add, test, remove.")
customers = typer.Typer(
    no_args_is_help=True, help="Who is who: find, show, link, split, undo, reviews, models; import."
)
webhooks = typer.Typer(no_args_is_help=True, help="Webhooks: who is called when something happens.")


@channels.command("list")
def channels_list() -> None:
    """Show the accounts, whether they are open, and the address to enter at each platform."""
    settings = terminal.settings(quiet=True)
    terminal.guard(lambda: terminal.run(channel_commands.show(settings)))


@channels.command("form")
def channels_form(channel: Annotated[str, typer.Argument(help="Which channel.")]) -> None:
    """Show the settings that an account of this channel has."""
    settings = terminal.settings(quiet=True)
    terminal.guard(lambda: terminal.run(channel_commands.describe(settings, channel)))


@channels.command("add")
def channels_add(
    channel: Annotated[str, typer.Argument(help="Which channel.")],
    account: Annotated[
        str, typer.Argument(help="A name of yours for the account; the same again changes it.")
    ],
    values: Annotated[list[str], typer.Argument(help="NAME=VALUE each; NAME=- asks without showing.")],
) -> None:
    """Add or change an account; it is open at once."""
    settings = terminal.settings(quiet=True)
    terminal.guard(lambda: terminal.run(channel_commands.add(settings, channel, account, values)))


@channels.command("test")
def channels_test(
    channel: Annotated[str, typer.Argument(help="Which channel.")],
    account: Annotated[str, typer.Argument(help="Which account.")] = "main",
) -> None:
    """Try an account's credentials with one harmless call."""
    settings = terminal.settings(quiet=True)
    terminal.guard(lambda: terminal.run(channel_commands.test(settings, channel, account)))


@channels.command("remove")
def channels_remove(
    channel: Annotated[str, typer.Argument(help="Which channel.")],
    account: Annotated[str, typer.Argument(help="Which account.")],
) -> None:
    """Close an account and forget its settings."""
    settings = terminal.settings(quiet=True)
    terminal.guard(lambda: terminal.run(channel_commands.remove(settings, channel, account)))


Reason = Annotated[str, typer.Option(help="Why; others have to understand it, and it is in the audit.")]


@customers.command("find")
def customers_find(
    text: Annotated[str, typer.Argument(help="A whole phone number, e-mail, account, order number or name.")],
) -> None:
    """Find a customer by what they say of themselves."""
    settings = terminal.settings(quiet=True)
    raise typer.Exit(terminal.guard(lambda: terminal.run(customer_commands.find(settings, text))))


@customers.command("show")
def customers_show(
    customer: Annotated[str, typer.Argument(help="An id of the customer, of any time.")],
) -> None:
    """Show a customer's identities, how sure each is, and what was done to them."""
    settings = terminal.settings(quiet=True)
    terminal.guard(lambda: terminal.run(customer_commands.show(settings, customer)))


@customers.command("link")
def customers_link(
    one: Annotated[str, typer.Argument(help="An id of one.")],
    other: Annotated[str, typer.Argument(help="An id of the other.")],
    reason: Reason,
) -> None:
    """Make two customers one, for staff to see; no proof, and it can be undone."""
    settings = terminal.settings(quiet=True)
    terminal.guard(lambda: terminal.run(customer_commands.link(settings, one, other, reason=reason)))


@customers.command("split")
def customers_split(
    identities: Annotated[list[str], typer.Argument(help="The identities that are somebody else.")],
    reason: Reason = "",
    preview: Annotated[bool, typer.Option(help="Only show what would go where.")] = False,
) -> None:
    """Make some identities of a customer another one; it holds until it is undone."""
    settings = terminal.settings(quiet=True)
    terminal.guard(
        lambda: terminal.run(customer_commands.split(settings, identities, reason=reason, preview=preview))
    )


@customers.command("new-holder")
def customers_new_holder(
    identity: Annotated[
        str, typer.Argument(help="The phone number's or mailbox's identity, as `show` lists it.")
    ],
    reason: Reason,
) -> None:
    """A number belongs to somebody else now: they begin without a history, and it cannot be undone."""
    settings = terminal.settings(quiet=True)
    terminal.guard(lambda: terminal.run(customer_commands.new_holder(settings, identity, reason=reason)))


@customers.command("undo")
def customers_undo(
    number: Annotated[int, typer.Argument(help="The step, as `show` numbers it.")], reason: Reason
) -> None:
    """Take back a link, a split or a "not the same", and nothing else."""
    settings = terminal.settings(quiet=True)
    terminal.guard(lambda: terminal.run(customer_commands.undo(settings, number, reason=reason)))


@customers.command("reviews")
def customers_reviews() -> None:
    """Show the pairs that may be one person and wait for somebody to decide."""
    settings = terminal.settings(quiet=True)
    terminal.guard(lambda: terminal.run(customer_commands.reviews(settings)))


@customers.command("decide")
def customers_decide(
    one: Annotated[str, typer.Argument(help="One side of the pair.")],
    other: Annotated[str, typer.Argument(help="The other.")],
    same: Annotated[bool, typer.Option("--same/--different", help="One person, or two.")],
    reason: Reason,
) -> None:
    """Decide about a pair of the queue."""
    settings = terminal.settings(quiet=True)
    terminal.guard(
        lambda: terminal.run(customer_commands.decide(settings, one, other, same=same, reason=reason))
    )


@customers.command("models")
def customers_models(
    learn: Annotated[bool, typer.Option(help="Learn another one from what is known by now.")] = False,
    live: Annotated[int, typer.Option(help="Make this version live; 0: the one that we ship.")] = -1,
    reason: Reason = "",
) -> None:
    """Show the matching models, learn one, or make one live."""
    settings = terminal.settings(quiet=True)
    if learn:
        terminal.guard(lambda: terminal.run(customer_commands.learn(settings)))
    if live >= 0:
        terminal.guard(lambda: terminal.run(customer_commands.make_live(settings, live, reason=reason)))
    terminal.guard(lambda: terminal.run(customer_commands.models(settings)))


@customers.command("import")
def customers_import(
    file: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="A table as CSV; the first row names its columns."),
    ],
    preview: Annotated[bool, typer.Option(help="Only say what would happen.")] = False,
    map_: Annotated[
        list[str] | None, typer.Option("--map", help="COLUMN=TARGET; COLUMN= leaves it out. Several times.")
    ] = None,
    source: Annotated[str, typer.Option(help="Where the table comes from, for the counts.")] = "import",
    left_out: Annotated[
        Path | None, typer.Option(help="Write the rows that stay out into this file, with the reasons.")
    ] = None,
) -> None:
    """Take customers in from a table; exit code 1 when a row stays out."""
    settings = terminal.settings(quiet=True)
    done = data_commands.take_in(
        settings, file, maps=map_ or [], source=source, preview=preview, left_out=left_out
    )
    raise typer.Exit(terminal.guard(lambda: terminal.run(done)))


WebhookId = Annotated[str, typer.Argument(help="Its id, from `huiliu webhooks list`.")]


@webhooks.command("list")
def webhooks_list(
    events: Annotated[bool, typer.Option(help="Show what there is to hear instead.")] = False,
) -> None:
    """Show the webhooks and how they do."""
    settings = terminal.settings(quiet=True)
    show = webhook_commands.list_events if events else webhook_commands.show
    terminal.guard(lambda: terminal.run(show(settings)))


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
    settings = terminal.settings(quiet=True)
    terminal.guard(
        lambda: terminal.run(
            webhook_commands.add(settings, url, event or [], description=description, with_text=with_text)
        )
    )


@webhooks.command("test")
def webhooks_test(webhook: WebhookId) -> None:
    """Call it with an event that means nothing; exit code 1 when it was not taken."""
    settings = terminal.settings(quiet=True)
    raise typer.Exit(terminal.guard(lambda: terminal.run(webhook_commands.test(settings, webhook))))


@webhooks.command("log")
def webhooks_log(webhook: WebhookId) -> None:
    """Show the latest deliveries."""
    settings = terminal.settings(quiet=True)
    terminal.guard(lambda: terminal.run(webhook_commands.log(settings, webhook)))


@webhooks.command("replay")
def webhooks_replay(
    webhook: WebhookId,
    since: Annotated[datetime | None, typer.Option(help="Everything since then, local time.")] = None,
    delivery: Annotated[int | None, typer.Option(help="This one of the log.")] = None,
) -> None:
    """Send again, under the same ids."""
    settings = terminal.settings(quiet=True)
    terminal.guard(
        lambda: terminal.run(webhook_commands.replay(settings, webhook, since=since, delivery=delivery))
    )


@webhooks.command("secret")
def webhooks_secret(webhook: WebhookId) -> None:
    """Make a new secret; the old one stays valid for a day."""
    settings = terminal.settings(quiet=True)
    terminal.guard(lambda: terminal.run(webhook_commands.renew_secret(settings, webhook)))


@webhooks.command("switch")
def webhooks_switch(
    webhook: WebhookId, on: Annotated[bool, typer.Option("--on/--off", help="Which way.")] = True
) -> None:
    """Switch it on or off; what happens meanwhile is sent when it is on again."""
    settings = terminal.settings(quiet=True)
    terminal.guard(lambda: terminal.run(webhook_commands.switch(settings, webhook, active=on)))


@webhooks.command("remove")
def webhooks_remove(webhook: WebhookId) -> None:
    """Remove a webhook and its log."""
    settings = terminal.settings(quiet=True)
    terminal.guard(lambda: terminal.run(webhook_commands.remove(settings, webhook)))
