"""What WeChat's answers mean to us: an error code in, the error of our tree out; pure.

`connection.py` asks for each answer. Permanent means that a repetition cannot help before a person acts: the
delivery is buried, shown at the desk, and can be sent again from there. Codes that are not in the table are
permanent, because repeating an unknown refusal only burns the account's daily quota.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from foundation import errors

TOKEN_WRONG = frozenset({40001, 40014, 42001})
"""The access token is wrong, invalid or expired: worth one new token and one repetition."""

_Kind = type[
    errors.UpstreamUnavailable | errors.UpstreamRefused | errors.UnsupportedContent | errors.Exhausted
]


@dataclass(frozen=True, slots=True)
class _Meaning:
    kind: _Kind
    code: str
    sentence: str
    retry_after_seconds: float | None = None


def _permanent(code: str, sentence: str) -> _Meaning:
    return _Meaning(errors.UpstreamRefused, code, sentence)


_CREDENTIALS = _permanent("credentials", "WeChat refuses the account's credentials; check app id and secret.")
_NO_PERMISSION = _permanent("no_permission", "The WeChat account lacks the permission for this call.")
_UNREACHABLE = _permanent("unreachable", "The customer does not follow the account any more.")

MEANINGS: Mapping[int, _Meaning] = {
    -1: _Meaning(errors.UpstreamUnavailable, "busy", "WeChat is busy.", 5),
    40001: _CREDENTIALS,
    40014: _CREDENTIALS,
    42001: _CREDENTIALS,
    40013: _CREDENTIALS,
    40125: _CREDENTIALS,
    40164: _permanent(
        "address_not_allowed", "WeChat does not know this server's IP address; add it to the allow-list."
    ),
    40003: _permanent("unknown_recipient", "WeChat does not know this customer for this account."),
    43004: _UNREACHABLE,
    50005: _UNREACHABLE,
    44004: _Meaning(errors.UnsupportedContent, "empty", "WeChat does not take an empty text."),
    45002: _Meaning(errors.UnsupportedContent, "too_long", "The text is longer than WeChat takes."),
    45009: _Meaning(errors.Exhausted, "daily_quota", "The day's quota of WeChat calls is used up.", 3600),
    45011: _Meaning(errors.Exhausted, "too_frequent", "WeChat asks us to call less often.", 60),
    45015: _permanent("window_closed", "WeChat lets us write again after the customer's next message."),
    45047: _permanent("quota_used_up", "All replies to the customer's last message are used up."),
    47001: _permanent("malformed", "WeChat could not read our message."),
    48001: _NO_PERMISSION,
    48004: _NO_PERMISSION,
    50002: _NO_PERMISSION,
}


def raise_for_code(code: int) -> None:
    """Nothing for 0; otherwise the error that the code means."""
    if code == 0:
        return
    meaning = MEANINGS.get(code) or _permanent("refused", f"WeChat refuses the message (code {code}).")
    raise meaning.kind(
        meaning.sentence, code=f"wechat_{meaning.code}", retry_after_seconds=meaning.retry_after_seconds
    )


def raise_for_status(status: int, retry_after: str) -> None:
    """WeChat says almost everything with 200 and a code; this is for what stands between us and it."""
    if status < 400:
        return
    raise _for_status(status)(
        f"WeChat's address answers with status {status}.",
        code=f"wechat_http_{status}",
        retry_after_seconds=float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None,
    )


def _for_status(status: int) -> Callable[..., errors.ServiceError]:
    if status == 429:
        return errors.Exhausted
    return errors.UpstreamUnavailable if status >= 500 or status == 408 else errors.UpstreamRefused
