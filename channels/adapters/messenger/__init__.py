"""Facebook Messenger: a page's webhook and the Send API, with quick replies, postbacks, media and receipts."""

from channels.adapters.messenger.channel import SPEC

__all__ = ["SPEC"]
