"""SMS through Tencent Cloud 腾讯云短信: incoming messages at a secret address, replies by an approved template."""

from channels.adapters.sms_tencent.channel import SPEC

__all__ = ["SPEC"]
