"""A reply on its way out: where to, how fast, in what form; and replies that stand in the answer to a call."""
