"""WeChat mini program 微信小程序: customer messages from its service button, and its reply API."""

from channels.adapters.wechat_mini.channel import SPEC

__all__ = ["SPEC"]
