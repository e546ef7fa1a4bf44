"""What the answers of WeChat's family mean to us: an error code in, the error of our tree out; pure.

`channels.families.wechat.api` asks for each answer, with the table of its platform: WeChat's or WeCom's. Permanent means that a
repetition cannot help before a person acts: the delivery is buried, shown at the desk, and can be sent again from
there. Codes that are not in a table are permanent, because repeating an unknown refusal only burns the daily quota.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from foundation import errors

TOKEN_WRONG = frozenset({40001, 40014, 42001})
"""The access token is wrong, invalid or expired: worth one new token and one repetition."""

CREDENTIALS_WRONG = TOKEN_WRONG | {40013, 40125, 41001}

_Kind = type[
    errors.UpstreamUnavailable | errors.UpstreamRefused | errors.UnsupportedContent | errors.Exhausted
]


@dataclass(frozen=True, slots=True)
class Meaning:
    """`code` stands behind the channel's name."""

    kind: _Kind
    code: str
    sentence: str
    retry_after_seconds: float | None = None


Table = Mapping[int, Meaning]


def permanent(code: str, sentence: str) -> Meaning:
    return Meaning(errors.UpstreamRefused, code, sentence)


def closed(code: str, sentence: str) -> Meaning:
    """Of a window or a quota: another way to the same customer may work."""
    return Meaning(errors.WindowClosed, code, sentence)


_CREDENTIALS = permanent("credentials", "WeChat refuses the account's credentials; check app id and secret.")
_NO_PERMISSION = permanent("no_permission", "The WeChat account lacks the permission for this call.")
_UNREACHABLE = permanent("unreachable", "The customer does not follow the account any more.")
_MEDIA_GONE = permanent(
    "media_gone", "The platform does not keep this file any more; it does so for three days."
)

WECHAT: Table = {
    -1: Meaning(errors.UpstreamUnavailable, "busy", "WeChat is busy.", 5),
    40001: _CREDENTIALS,
    40014: _CREDENTIALS,
    42001: _CREDENTIALS,
    40013: _CREDENTIALS,
    40125: _CREDENTIALS,
    40164: permanent(
        "address_not_allowed", "WeChat does not know this server's IP address; add it to the allow-list."
    ),
    40003: permanent("unknown_recipient", "WeChat does not know this customer for this account."),
    40007: _MEDIA_GONE,
    43004: _UNREACHABLE,
    50005: _UNREACHABLE,
    44004: Meaning(errors.UnsupportedContent, "empty", "WeChat does not take an empty text."),
    45002: Meaning(errors.UnsupportedContent, "too_long", "The text is longer than WeChat takes."),
    45009: Meaning(errors.Exhausted, "daily_quota", "The day's quota of WeChat calls is used up.", 3600),
    45011: Meaning(errors.Exhausted, "too_frequent", "WeChat asks us to call less often.", 60),
    45015: closed("window_closed", "WeChat lets us write again after the customer's next message."),
    45047: closed("quota_used_up", "All replies to the customer's last message are used up."),
    47001: permanent("malformed", "WeChat could not read our message."),
    48001: _NO_PERMISSION,
    48004: _NO_PERMISSION,
    50002: _NO_PERMISSION,
}

_CORP = permanent("credentials", "WeCom refuses the credentials; check the corporation's id and the secret.")
_NOT_ALLOWED = permanent(
    "no_permission", "WeCom does not let this app make the call; check the app's permissions."
)
_NO_MEMBER = permanent("unknown_recipient", "WeCom knows no such member within the app's visible range.")

WECOM: Table = {
    -1: Meaning(errors.UpstreamUnavailable, "busy", "WeCom is busy.", 5),
    40001: _CORP,
    40013: _CORP,
    40014: _CORP,
    42001: _CORP,
    41001: _CORP,
    40007: _MEDIA_GONE,
    40058: permanent("malformed", "WeCom finds a wrong value in our message."),
    40201: permanent("blocked", "WeCom has blocked the account because of what was sent."),
    44004: Meaning(errors.UnsupportedContent, "empty", "WeCom does not take an empty text."),
    45002: Meaning(errors.UnsupportedContent, "too_long", "The text is longer than WeCom takes."),
    45009: Meaning(errors.Exhausted, "quota", "The quota of WeCom calls is used up.", 60),
    45033: Meaning(errors.Exhausted, "too_many_at_once", "WeCom asks for fewer calls at once.", 5),
    48002: _NOT_ALLOWED,
    60011: _NOT_ALLOWED,
    301002: _NOT_ALLOWED,
    60020: permanent(
        "address_not_allowed",
        "WeCom does not know this server's IP address; add it to the app's trusted addresses.",
    ),
    81013: _NO_MEMBER,
    60111: _NO_MEMBER,
    95000: permanent("unknown_account", "WeCom knows no such customer service account."),
    95001: closed("quota_used_up", "All replies to the customer's last message are used up."),
    95002: closed("window_closed", "WeCom lets us write again after the customer's next message."),
    95003: permanent("too_many_customers", "WeCom lets this corporation serve no more customers."),
    95004: permanent("unknown_account", "WeCom knows no such customer service account."),
    95007: permanent("bell_expired", "The bell's token is no longer valid."),
    95013: closed("session_ended", "The session has ended; we may write after the customer's next message."),
    95014: permanent("no_servicer", "The member may not serve customers, or is not there."),
    95016: permanent("no_session_change", "The session's state cannot be changed now."),
    95017: permanent(
        "no_permission", "The interface of WeChat customer service is not switched on for this corporation."
    ),
    95018: permanent(
        "session_state", "The session is with a person or over; WeCom takes no message of ours there."
    ),
}


def raise_for_code(code: int, table: Table, channel: str) -> None:
    """Nothing for 0; otherwise the error that the code means, its code beginning with the channel's name."""
    if code == 0:
        return
    meaning = table.get(code) or permanent("refused", f"The platform refuses the call (code {code}).")
    raise meaning.kind(
        meaning.sentence, code=f"{channel}_{meaning.code}", retry_after_seconds=meaning.retry_after_seconds
    )
