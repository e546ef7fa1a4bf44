"""What a session has proven, and what that opens: one table, and one decision about it."""
