"""Messengers and platforms for chat, played."""
