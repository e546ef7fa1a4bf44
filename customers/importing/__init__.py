"""Customers from a table that somebody else's system wrote: bytes in, drafts or reasons out. Pure; nothing here knows a database."""
