"""The outward half of sync: events of the outbox on their way to webhooks and to the company's own stream."""
