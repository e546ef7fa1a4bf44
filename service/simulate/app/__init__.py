"""The shop's own app, its server that signs users in, and the push service that it brings."""
