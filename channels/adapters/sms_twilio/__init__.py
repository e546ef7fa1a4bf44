"""SMS and MMS through Twilio: signed webhooks in, the Messages API out, delivery by status callbacks."""

from channels.adapters.sms_twilio.channel import SPEC

__all__ = ["SPEC"]
