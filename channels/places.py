"""Which open channel a conversation belongs to. Delivery, the exchange and the desk's page look here."""

from __future__ import annotations

from collections.abc import Mapping

from channels.contract import MAIN, Channel
from foundation.messages import TenantId

Channels = Mapping[tuple[TenantId, str], Channel]
"""By tenant and place: the channel's name for the account that the environment configures, `name:account` for others."""


def place(channel: str, account: str) -> str:
    return channel if account in ("", MAIN) else f"{channel}:{account}"


def find_channel(channels: Channels, tenant: TenantId, channel: str, account: str) -> Channel | None:
    """The account's own; else the main one, whose address may go on with a word of its own (a path that is a secret)."""
    return channels.get((tenant, place(channel, account))) or channels.get((tenant, channel))
