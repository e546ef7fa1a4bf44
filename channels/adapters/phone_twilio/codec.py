"""Twilio's forms to what was heard, and a script to TwiML; pure. Also the signature, which covers address and form.

The platform has no id for an utterance: the turn stands in the address that we gave it for its next call, which the
signature covers.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit
from xml.etree.ElementTree import Element, SubElement, tostring

from channels.adapters.phone_twilio.settings import PhoneTwilioSettings
from channels.contract import BODY_LIMIT
from channels.families import speech
from channels.families.speech.telephone import Heard, Line, Script, address, certainty
from foundation import errors

NAME = "phone_twilio"
FIELD_LIMIT = 300
_ALIVE = ("queued", "initiated", "ringing", "in-progress", "answered")
_ENDED = ("completed", "busy", "failed", "no-answer", "canceled")
_TAKEN = ("completed", "answered", "bridged", "bridging-in-process", "redirected-from-bridged")
_PORTS = {"https": 443, "http": 80}


def parse_form(body: bytes) -> list[tuple[str, str]]:
    """Every field as it was sent, empty ones too. Raises `UnreadablePayload`."""
    if len(body) > BODY_LIMIT:
        raise errors.UnreadablePayload("The form is too large.", code="too_large")
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=FIELD_LIMIT)
    except ValueError as error:
        raise errors.UnreadablePayload("The body is not the form that Twilio sends.") from error


def signature(token: str, url: str, form: Sequence[tuple[str, str]]) -> str:
    """Over the address as it was called and all fields by name, without anything between; HMAC-SHA1, base64."""
    covered = url + "".join(name + value for name, value in sorted(set(form)))
    digest = hmac.new(token.encode(), covered.encode("utf-8", "surrogatepass"), hashlib.sha1)
    return base64.b64encode(digest.digest()).decode()


def addresses(hook: str, query_string: str) -> list[str]:
    """The platform signs an address with or without the port that goes without saying."""
    parts = urlsplit(hook)
    tail = f"?{query_string}" if query_string else ""
    found = [hook + tail]
    if parts.port is None and parts.hostname and parts.scheme in _PORTS:
        found.append(parts._replace(netloc=f"{parts.netloc}:{_PORTS[parts.scheme]}").geturl() + tail)
    return found


def parse_call(body: bytes, query: Mapping[str, str]) -> Heard:
    """Raises `UnreadablePayload` when it does not say which call it is about."""
    fields = dict(parse_form(body))
    if not fields.get("CallSid"):
        raise errors.UnreadablePayload("The form does not say which call it is about.")
    state = fields.get("CallStatus", "").lower()
    result = fields.get("DialCallStatus") or fields.get("QueueResult")
    return Heard(
        call=fields["CallSid"],
        scope=fields.get("AccountSid", ""),
        line=Line.of(query),
        caller=fields.get("From", ""),
        caller_name=fields.get("CallerName", ""),
        callee=fields.get("To", ""),
        speech=fields.get("SpeechResult", ""),
        keys=fields.get("Digits", ""),
        confidence=certainty(fields.get("Confidence")) or None,  # models that have none report 0
        state="ended" if state in _ENDED else "alive" if state in ("", *_ALIVE) else state,
        taken=None if result is None else result in _TAKEN,
    )


def render(script: Script, heard: Heard, settings: PhoneTwilioSettings, hook: str) -> bytes:
    """The TwiML document. A listening one speaks inside <Gather>, so that the caller may speak or press keys into it."""
    response = Element("Response")
    following = address(hook, script.line)
    if script.then == "listen":
        gather = SubElement(response, "Gather", _gather(script, settings, following))
        _say(gather, script, settings)
        SubElement(response, "Redirect", method="POST").text = following
        return _xml(response)
    _say(response, script, settings)
    if script.then == "again":
        SubElement(response, "Redirect", method="POST").text = following
    elif script.then == "transfer":
        _transfer(response, settings, following)
    elif script.then == "hang_up":
        SubElement(response, "Hangup")
    return _xml(response)


def _xml(response: Element) -> bytes:
    text = tostring(response, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode("utf-8", "replace")


def _gather(script: Script, settings: PhoneTwilioSettings, following: str) -> dict[str, str]:
    options = {
        "input": "speech dtmf",
        "action": following,
        "method": "POST",
        "language": settings.tag(script.line.language),
        "timeout": str(settings.listen_seconds),
        "speechTimeout": "auto",
        "bargeIn": "true",
        "actionOnEmptyResult": "true",
    }
    options |= {"numDigits": str(script.digits)} if script.digits else {"finishOnKey": "#"}
    options |= {"hints": settings.hints} if settings.hints else {}
    return options | ({"speechModel": settings.speech_model} if settings.speech_model else {})


def _say(parent: Element, script: Script, settings: PhoneTwilioSettings) -> None:
    voice = settings.voice(script.line.language)
    options = {"language": settings.tag(script.line.language)} | ({"voice": voice} if voice else {})
    for text in script.says:
        for piece in speech.pieces(text, 450):
            SubElement(parent, "Say", options).text = piece


def _transfer(response: Element, settings: PhoneTwilioSettings, following: str) -> None:
    target = settings.transfer_to
    if target.startswith("queue:"):
        SubElement(response, "Enqueue", action=following, method="POST").text = target.removeprefix("queue:")
        return
    dial = SubElement(
        response, "Dial", action=following, method="POST", timeout=str(settings.transfer_seconds),
        answerOnBridge="true",
    )  # fmt: skip
    SubElement(dial, "Sip" if target.startswith("sip:") else "Number").text = target
