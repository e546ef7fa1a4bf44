"""Commands that speak to a running server, as a member of its staff: channels, knowledge."""
