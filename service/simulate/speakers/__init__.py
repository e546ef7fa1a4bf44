"""Smart speakers, played."""
