"""WeChat customer service 微信客服 of WeCom: a callback that only rings, messages that are fetched, and its reply API."""

from channels.adapters.wecom_kf.channel import SPEC

__all__ = ["SPEC"]
