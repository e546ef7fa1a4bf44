"""The web chat: our own page and widget, and the REST and WebSocket protocol behind them."""

from channels.adapters.web_chat.connection import SPEC

__all__ = ["SPEC"]
