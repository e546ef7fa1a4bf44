"""DingTalk robot 钉钉机器人: its HTTP callback, replies through the session's address or the OpenAPI."""

from channels.adapters.dingtalk.channel import SPEC

__all__ = ["SPEC"]
