"""Slack: events and buttons of an app in its workspace, and replies through the Web API."""

from channels.adapters.slack.channel import SPEC

__all__ = ["SPEC"]
