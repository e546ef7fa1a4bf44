"""What Aliyun's codes mean to us: a code in, the error of our tree out; pure.

`connection.py` asks for each answer. Codes that are not in the table are permanent: a repetition would only cost.
"""

from __future__ import annotations

from collections.abc import Mapping

from channels.adapters.sms_aliyun.codec import slug
from channels.adapters.sms_aliyun.settings import NAME
from foundation import errors

_CREDENTIALS = (
    "InvalidAccessKeyId", "SignatureDoesNotMatch", "IncompleteSignature", "Forbidden", "isv.RAM_PERMISSION_DENY",
    "isv.DENY_IP_RANGE", "InvalidSecurityToken",
)  # fmt: skip
_WAIT: Mapping[str, float] = {
    "isv.BUSINESS_LIMIT_CONTROL": 60,
    "isv.DAY_LIMIT_CONTROL": 3600,
    "Throttling": 5,
}
"""Begin of the code → seconds until another attempt makes sense."""
_BUSY = ("isp.SYSTEM_ERROR", "isp.RAM_PERMISSION_DENY", "ServiceUnavailable", "InternalError")
_SENTENCES: Mapping[str, tuple[str, str]] = {
    "isv.MOBILE_NUMBER_ILLEGAL": ("bad_number", "The customer's number is not one that Aliyun can write to."),
    "isv.BLACK_KEY_CONTROL_LIMIT": ("blocked_words", "The text has words that Aliyun does not pass on."),
    "isv.PARAM_LENGTH_LIMIT": ("too_long", "The text is longer than the template's variable; lower variable_limit."),
    "isv.PARAM_NOT_SUPPORT_URL": ("no_links", "The template's variable takes no links."),
    "isv.TEMPLATE_PARAMS_ILLEGAL": ("bad_variable", "The template's variable does not take this text."),
    "isv.TEMPLATE_MISSING_PARAMETERS": ("bad_template", "The template has another variable; check variable."),
    "isv.SMS_TEMPLATE_ILLEGAL": ("bad_template", "The template is not approved; check template_code."),
    "isv.SMS_SIGNATURE_ILLEGAL": ("bad_sign_name", "The signature is not approved; check sign_name."),
    "isv.AMOUNT_NOT_ENOUGH": ("no_balance", "The Aliyun account has no balance."),
    "isv.OUT_OF_SERVICE": ("out_of_service", "The SMS service of the Aliyun account is stopped."),
    "isv.MONTH_LIMIT_CONTROL": ("month_quota", "The month's quota of SMS is used up."),
}  # fmt: skip


def error_of(code: str) -> errors.ServiceError:
    """The error that a code other than OK means."""
    if code.startswith(_CREDENTIALS):
        return errors.UpstreamRefused(
            "Aliyun refuses the AccessKey; check it and the rights of its user.", code=f"{NAME}_credentials"
        )
    if code.startswith("InvalidTimeStamp"):
        return errors.UpstreamRefused("This machine's clock is wrong.", code=f"{NAME}_clock")
    for start, seconds in _WAIT.items():
        if code.startswith(start):
            return errors.Exhausted(
                "Aliyun asks us to send less often.",
                code=f"{NAME}_{slug(start)}",
                retry_after_seconds=seconds,
            )
    if code.startswith(_BUSY):
        return errors.UpstreamUnavailable("Aliyun is busy.", code=f"{NAME}_busy", retry_after_seconds=5)
    name, sentence = _SENTENCES.get(code, (slug(code) or "refused", "Aliyun refuses the message."))
    return errors.UpstreamRefused(sentence, code=f"{NAME}_{name}")


def is_about_us(code: str) -> bool:
    """The account or the platform, not this one message or its receiver."""
    return not code.startswith("isv.") or code.startswith(_CREDENTIALS)
