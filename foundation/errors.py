"""The one error tree, cut by what the catcher must do.

    ServiceError
    ├─ InvalidInput              the sender's fault, never retried
    │  ├─ UnreadablePayload      a provider sent something we cannot read
    │  └─ UnsupportedContent     cannot be represented here; said aloud, never dropped
    ├─ NotAuthentic              signature or token
    ├─ NotPermitted              role, proof or consent
    ├─ NotFound
    ├─ Conflict                  duplicate, stale version, somebody else holds it
    ├─ Exhausted                 rate, token, money or turn budget
    │  └─ Overloaded             our own queue is full; nothing was taken
    └─ UpstreamError             somebody else's system
       ├─ UpstreamUnavailable    temporary
       │  └─ OutcomeUnknown      what was asked may have happened
       └─ UpstreamRefused        permanent
          └─ WindowClosed        permanent here and now; another way to the same person may work
    ConfigurationError           the process must not start
    AskModelAgain                inside the agent only: the model can repair this

`public_text` is shown to whoever sent the request; it never carries personal data or internals.
"""

from __future__ import annotations


class ServiceError(Exception):
    """Base of everything a fence translates into an answer; `code` is stable and documented."""

    status = 500
    default_code = "internal"

    def __init__(
        self, public_text: str, *, code: str | None = None, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(public_text)
        self.public_text = public_text
        self.code = code or self.default_code
        self.retry_after_seconds = retry_after_seconds


class InvalidInput(ServiceError):
    """The sender must change the request."""

    status = 422
    default_code = "invalid_input"


class UnreadablePayload(InvalidInput):
    """A provider's payload cannot be read; it is kept as a dead letter."""

    status = 400
    default_code = "unreadable_payload"


class UnsupportedContent(InvalidInput):
    """This content has no form on that channel; the caller must say so aloud."""

    default_code = "unsupported_content"


class NotAuthentic(ServiceError):
    """Wrong, missing, stale or replayed signature or token."""

    status = 401
    default_code = "not_authentic"


class NotPermitted(ServiceError):
    """Known sender, but role, proof level or consent does not reach."""

    status = 403
    default_code = "not_permitted"


class NotFound(ServiceError):
    """No such thing for this sender (also: it is somebody else's)."""

    status = 404
    default_code = "not_found"


class Conflict(ServiceError):
    """Duplicate with other content, stale version, or somebody else holds it."""

    status = 409
    default_code = "conflict"


class Exhausted(ServiceError):
    """A rate, token, money or turn budget is used up; `retry_after_seconds` says when it refills."""

    status = 429
    default_code = "exhausted"


class Overloaded(Exhausted):
    """Our own queue is full: nobody's fault, nothing was taken, and the same request works in a moment."""

    status = 503
    default_code = "busy"


class UpstreamError(ServiceError):
    """A system that is not ours failed."""

    status = 502
    default_code = "upstream"


class UpstreamUnavailable(UpstreamError):
    """Temporary: the caller may try again, after `retry_after_seconds` where the system named it."""

    status = 503
    default_code = "upstream_unavailable"


class OutcomeUnknown(UpstreamUnavailable):
    """The request left and no answer came: it may have been carried out. Whoever repeats it must bear that it happens twice."""

    default_code = "outcome_unknown"


class UpstreamRefused(UpstreamError):
    """Permanent: trying again cannot help."""

    default_code = "upstream_refused"


class WindowClosed(UpstreamRefused):
    """The platform lets us write to this customer no more until they write again, or beyond a quota: a template, or
    another channel of theirs, may still reach them."""

    default_code = "reply_window_closed"


class ConfigurationError(Exception):
    """Settings are wrong or contradict each other; the message is the sentence that mends it."""


class AskModelAgain(Exception):
    """A language model's output can be repaired by the model itself; the message is the hint for it."""


def is_temporary(error: BaseException) -> bool:
    """The one question of every retry loop."""
    return isinstance(error, UpstreamUnavailable | Exhausted | TimeoutError | ConnectionError)
