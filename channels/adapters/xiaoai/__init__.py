"""XiaoAi 小爱: a skill of Xiaomi's speakers."""

from channels.adapters.xiaoai.channel import SPEC

__all__ = ["SPEC"]
