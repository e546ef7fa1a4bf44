"""A self-built app of WeCom 企业微信自建应用: members of the corporation write to it and are answered."""

from channels.adapters.wecom_app.channel import SPEC

__all__ = ["SPEC"]
