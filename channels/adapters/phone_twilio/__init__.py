"""Phone calls by Twilio Voice: its signed forms, and TwiML as the answer."""

from channels.adapters.phone_twilio.channel import SPEC

__all__ = ["SPEC"]
