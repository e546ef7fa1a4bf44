"""DuerOS 小度: a skill of Baidu's speakers and displays."""

from channels.adapters.dueros.channel import SPEC

__all__ = ["SPEC"]
