"""LINE Messaging API: signed webhooks of an official account, replies by token or push."""

from channels.adapters.line.channel import SPEC

__all__ = ["SPEC"]
