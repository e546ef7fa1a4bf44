"""E-mail: one mailbox, read by IMAP and answered by SMTP, whoever hosts it."""

from channels.adapters.email.channel import SPEC

__all__ = ["SPEC"]
