"""What people may ask about their data, put together for the running process."""
