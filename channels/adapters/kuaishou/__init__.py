"""Kuaishou 快手: the open platform's webhook. It has no public interface for private messages; see README."""

from channels.adapters.kuaishou.channel import SPEC

__all__ = ["SPEC"]
