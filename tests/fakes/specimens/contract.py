"""What the contract suite asks of a channel's specimen: sign as its platform, break its platform, see what arrived.

One module a channel in this folder and one line in `__init__`. A channel whose customers come in by routes of its own
(the web chat) or that fetches its messages keeps the shorter promise of `Specimen`; one with a webhook that of
`WebhookSpecimen`; one that replies in the answer to its webhook (`channels.promises.Answering`) that of `CallSpecimen`.
"""

from __future__ import annotations

import json
from collections.abc import Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from channels.contract import Channel, Webhook
from channels.promises import Preparing
from foundation.messages import InboundMessage

ADAPTERS = Path(__file__).parents[3] / "channels" / "adapters"
CUSTOMER = "oSecretCustomerOfTheTests"
NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)

Fault = Literal["401", "429", "500", "timeout"]


class Specimen(Protocol):
    channel: Channel

    def recordings(self) -> Sequence[Path]: ...

    def read_recording(self, path: Path) -> tuple[Sequence[InboundMessage], dict[str, Any]]:
        """As the door reads it, and what the recording says should come out: fields of the message."""
        ...


class InboundSpecimen(Specimen, Protocol):
    def text_call(self, text: str, number: int) -> Webhook:
        """The customer's text; another number is another message."""
        ...

    def unknown_event_call(self) -> Webhook: ...

    def stale_call(self) -> Webhook | None:
        """None where the platform's calls carry no time."""
        ...

    def signed_body_call(self, body: bytes) -> Webhook:
        """A call whose signature is right and whose content is this."""
        ...

    def tampered(self, call: Webhook) -> Sequence[Webhook]:
        """More than five, each different in one thing that the signature must cover or be: a byte of the body, the
        signature missing, empty, of other letters, not ASCII, cut, from another secret."""
        ...

    def changing_secret(self) -> tuple[Channel, Channel, Webhook] | None:
        """A channel during the change, one after it, and a call signed with the old secret; None where keys are the
        platform's own and change by its key service."""
        ...

    def secrets(self) -> Sequence[str]:
        """What must never stand in a log."""
        ...


class WebhookSpecimen(InboundSpecimen, Protocol):
    def seen(self) -> Sequence[str]:
        """The texts that reached the customer, in order."""
        ...

    def fail_next_send(self, fault: Fault) -> None: ...


class CallSpecimen(InboundSpecimen, Protocol):
    def heard(self, body: bytes) -> str:
        """What the customer hears of this answer, with nothing around it."""
        ...


def admit(channel: Channel, call: Webhook) -> None:
    """As the door does it: what the check needs is fetched, then it is made."""
    if isinstance(channel, Preparing):
        at_once(channel.prepare(call))
    channel.verify(call)


def at_once(work: Coroutine[Any, Any, None]) -> None:
    """Runs what has nothing to wait for, because the specimen hands it over, without a loop."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("the specimen waits for something")


def recordings_of(folder: Path) -> Sequence[Path]:
    return [path for path in sorted((folder / "recorded").glob("*.json")) if path.name != "account.json"]


class Recorded:
    """A specimen whose recordings are calls as the platform signed them."""

    channel: Channel
    folder: Path

    def recordings(self) -> Sequence[Path]:
        return recordings_of(self.folder)

    def read_recording(self, path: Path) -> tuple[Sequence[InboundMessage], dict[str, Any]]:
        call, expected = recorded_call(path)
        admit(self.channel, call)
        return self.channel.read(call), expected


def recorded_call(path: Path) -> tuple[Webhook, dict[str, Any]]:
    """A recording is JSON: method, query, headers, body (text), received_at (unix seconds), account, path and `expect`,
    the fields of the one message that comes of it; an empty `expect` means none."""
    stored: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    call = Webhook(
        stored.get("method", "POST"), stored.get("query", {}), stored.get("headers", {}), stored["body"].encode(),
        datetime.fromtimestamp(stored["received_at"], UTC), stored.get("account", ""), stored.get("path", ""),
        stored.get("query_string", ""),
    )  # fmt: skip
    return call, stored["expect"]
