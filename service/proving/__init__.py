"""One-time codes in the running process: what they are asked for, decided and sent by, put together for the wiring."""
