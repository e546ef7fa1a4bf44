"""The shop's own app: customers signed in by the shop's user tokens, pushed to when they are away, on the web chat's protocol."""

from channels.adapters.app.channel import SPEC

__all__ = ["SPEC"]
