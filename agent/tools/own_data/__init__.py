"""What customers ask about their own data: what is known of them, what it may be used for, a copy of it."""
