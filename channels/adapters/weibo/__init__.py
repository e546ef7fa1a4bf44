"""Weibo fans service 微博粉丝服务: its callback and its reply interface."""

from channels.adapters.weibo.channel import SPEC

__all__ = ["SPEC"]
