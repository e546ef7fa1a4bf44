"""WhatsApp: the Cloud API of Meta, its webhook, its messages with buttons, lists and media, its receipts."""

from channels.adapters.whatsapp.channel import SPEC

__all__ = ["SPEC"]
