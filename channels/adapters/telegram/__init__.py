"""Telegram: a bot's webhook and the Bot API, with inline keyboards, files, places, edits and blocks."""

from channels.adapters.telegram.channel import SPEC

__all__ = ["SPEC"]
