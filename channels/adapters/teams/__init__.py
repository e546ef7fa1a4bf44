"""Microsoft Teams: the Bot Framework protocol, activities in by signed token, replies through the connector."""

from channels.adapters.teams.channel import SPEC

__all__ = ["SPEC"]
