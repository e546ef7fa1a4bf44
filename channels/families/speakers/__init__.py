"""What the adapters of several smart speakers share: a skill's turn, certificates that calls are signed with, linked accounts."""
