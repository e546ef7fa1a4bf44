"""WeChat Official Account 微信公众号: the platform's callback, its signature and encryption, and its reply API."""

from channels.adapters.wechat_oa.channel import SPEC

__all__ = ["SPEC"]
