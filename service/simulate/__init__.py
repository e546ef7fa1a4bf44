"""Plays a channel's platform against a running server, for trying a channel without an account there."""
