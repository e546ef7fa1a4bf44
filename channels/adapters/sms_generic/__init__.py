"""SMS through any gateway that speaks our small JSON, signed in both directions by the Standard Webhooks scheme."""

from channels.adapters.sms_generic.channel import SPEC

__all__ = ["SPEC"]
