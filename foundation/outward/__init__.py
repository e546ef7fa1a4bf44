"""What other systems may hear: the catalogue of kinds, and the outbox that keeps each of them until all have heard it."""
