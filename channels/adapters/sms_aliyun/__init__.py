"""SMS through Alibaba Cloud 阿里云短信: reports of incoming messages at a secret address, replies by an approved template."""

from channels.adapters.sms_aliyun.channel import SPEC

__all__ = ["SPEC"]
