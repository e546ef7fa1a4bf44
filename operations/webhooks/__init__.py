"""Webhooks of a tenant: who is called when something happens, and what became of each call."""
