"""What Tencent's codes mean to us: a code in, the error of our tree out; pure.

`connection.py` asks for each answer. Codes that are not in the table are permanent: a repetition would only cost.
"""

from __future__ import annotations

from collections.abc import Mapping

from channels.adapters.sms_tencent.codec import slug
from channels.adapters.sms_tencent.settings import NAME
from foundation import errors

_CREDENTIALS = ("AuthFailure", "UnauthorizedOperation")
_CLOCK = "AuthFailure.SignatureExpire"
_WAIT: Mapping[str, float] = {
    "LimitExceeded.PhoneNumberThirtySecondLimit": 30,
    "LimitExceeded.PhoneNumberOneHourLimit": 3600,
    "LimitExceeded.DeliveryFrequencyLimit": 60,
    "RequestLimitExceeded": 5,
}
"""Begin of the code → seconds until another attempt makes sense."""
_BUSY = ("InternalError", "ServiceUnavailable")
_SENTENCES: Mapping[str, tuple[str, str]] = {
    "FailedOperation.PhoneNumberInBlacklist": ("opted_out", "The customer has opted out and takes no messages."),
    "FailedOperation.TemplateIncorrectOrUnapproved": ("bad_template", "The template is not approved; check template_id."),
    "FailedOperation.SignatureIncorrectOrUnapproved": ("bad_sign_name", "The signature is not approved; check sign_name."),
    "FailedOperation.InsufficientBalanceInSmsPackage": ("no_balance", "The SMS package of the account is used up."),
    "FailedOperation.ContainSensitiveWord": ("blocked_words", "The text has words that Tencent does not pass on."),
    "LimitExceeded.PhoneNumberDailyLimit": ("daily_quota", "This customer has got all messages of the day."),
    "LimitExceeded.PhoneNumberSameContentDailyLimit": ("same_content", "The same text went to this customer too often today."),
    "InvalidParameterValue.TemplateParameterLengthLimit": (
        "too_long", "The text is longer than the template's variable; lower variable_limit."
    ),
    "InvalidParameterValue.ContentLengthLimit": ("too_long", "The text is longer than an SMS may be."),
    "InvalidParameterValue.IncorrectPhoneNumber": ("bad_number", "The customer's number is not one that Tencent can write to."),
}  # fmt: skip


def error_of(code: str) -> errors.ServiceError:
    """The error that a code other than Ok means."""
    if code.startswith(_CLOCK):
        return errors.UpstreamRefused("This machine's clock is wrong.", code=f"{NAME}_clock")
    if code.startswith(_CREDENTIALS):
        return errors.UpstreamRefused(
            "Tencent refuses the API key; check it and its rights.", code=f"{NAME}_credentials"
        )
    for start, seconds in _WAIT.items():
        if code.startswith(start):
            return errors.Exhausted(
                "Tencent asks us to send less often.",
                code=f"{NAME}_{slug(start)}",
                retry_after_seconds=seconds,
            )
    if code.startswith(_BUSY):
        return errors.UpstreamUnavailable("Tencent is busy.", code=f"{NAME}_busy", retry_after_seconds=5)
    name, sentence = _SENTENCES.get(code, (slug(code) or "refused", "Tencent refuses the message."))
    return errors.UpstreamRefused(sentence, code=f"{NAME}_{name}")
