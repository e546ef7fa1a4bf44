"""Douyin private messages 抖音私信: webhooks of the open platform and replies within its window."""

from channels.adapters.douyin.channel import SPEC

__all__ = ["SPEC"]
