"""AliGenie 天猫精灵: a skill of Alibaba's speakers, in both of its protocols."""

from channels.adapters.aligenie.channel import SPEC

__all__ = ["SPEC"]
