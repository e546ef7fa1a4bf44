"""Which open channel a conversation belongs to. Delivery, the exchange and the desk's page look here."""

from __future__ import annotations

from collections.abc import Mapping

from channels.contract import MAIN, Channel
from channels.promises import Hosting
from foundation.messages import TenantId

Channels = Mapping[tuple[TenantId, str], Channel]
"""By tenant and place: the channel's name for the account that the environment configures, `name:account` for others."""


def place(channel: str, account: str) -> str:
    return channel if account in ("", MAIN) else f"{channel}:{account}"


def find_channel(channels: Channels, tenant: TenantId, channel: str, account: str) -> Channel | None:
    """The account's own, and None where that was removed: its customers are not the main account's. The main one only where
    it hosts the account."""
    if (own := channels.get((tenant, place(channel, account)))) is not None:
        return own
    main = channels.get((tenant, channel))
    return main if isinstance(main, Hosting) else None


def find_listener(channels: Channels, tenant: TenantId, channel: str, word: str) -> Channel | None:
    """Behind the channel's name in an address stands an account, or a word of the main account's own: a path that is a
    secret, which only the channel can tell from a wrong one."""
    return channels.get((tenant, place(channel, word))) or channels.get((tenant, channel))
