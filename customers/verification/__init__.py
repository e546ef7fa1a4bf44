"""One-time codes: how a customer shows within a conversation who they are.

`codes` and `limits` are the pure rules, `verification` is the door at which the agent and the API start and check, `sending` is
what the worker decides, `records` is the SQL.
"""
