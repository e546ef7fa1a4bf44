"""Turns text into unit vectors: one promise (`contract`), several machines that keep it."""
