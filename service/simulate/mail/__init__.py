"""A mailbox and its customers, played."""
