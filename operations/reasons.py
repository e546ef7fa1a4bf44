"""The reason that a member of the staff gives for what they do to a customer's data or to keys; it is kept in the audit."""

from __future__ import annotations

from foundation import errors

LONGEST = 300


def given(reason: str) -> str:
    """Without spaces around it. Raises `InvalidInput` when there is none, or a novel."""
    reason = reason.strip()
    if not reason or len(reason) > LONGEST:
        raise errors.InvalidInput(f"Give a reason, of at most {LONGEST} characters.", code="reason_missing")
    return reason
