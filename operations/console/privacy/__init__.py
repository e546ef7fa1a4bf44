"""The privacy page and its cards."""
