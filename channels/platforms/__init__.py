"""What adapters need whatever the platform: calls out, tokens, signatures, JSON read without trust."""
