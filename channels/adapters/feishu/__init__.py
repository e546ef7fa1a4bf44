"""Feishu and Lark 飞书: encrypted events, replies as texts and cards, receipts of reading, files behind a token."""

from channels.adapters.feishu.channel import SPEC

__all__ = ["SPEC"]
