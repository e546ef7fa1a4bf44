"""mod_httapi's forms to what was heard, and a script to its XML; pure.

Where the call stands travels in <params>, which the switch keeps until they are changed: all of them are sent each time,
zeros too. What a caller says comes back once, under the name that the answer gave it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from channels.adapters.phone_httapi.settings import PhoneHttapiSettings
from channels.contract import BODY_LIMIT
from channels.families.speech.telephone import COUNTS, Heard, Line, Script, certainty
from foundation import errors

NAME = "phone_httapi"
FIELD_LIMIT = 400
_SILENCE = "silence_stream://250"
_DIGIT_MILLISECONDS = "2500"


def credentials(user: str, password: str) -> str:
    """The header of Basic authentication."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def parse_form(body: bytes) -> dict[str, str]:
    """Raises `UnreadablePayload`."""
    if len(body) > BODY_LIMIT:
        raise errors.UnreadablePayload("The form is too large.", code="too_large")
    try:
        return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=FIELD_LIMIT))
    except ValueError as error:
        raise errors.UnreadablePayload("The body is not the form that mod_httapi sends.") from error


def parse_call(body: bytes) -> Heard:
    """Raises `UnreadablePayload` when it does not say which call it is about."""
    fields = parse_form(body)
    if not fields.get("session_id"):
        raise errors.UnreadablePayload("The form does not say which call it is about.")
    line = Line.of(fields)
    kind, given = fields.get("input_type", ""), fields.get(input_name(line), "")
    said, confidence = parse_speech(given) if kind == "detected_speech" else ("", None)
    known = ("", "dtmf", "detected_speech", "invalid")
    state = "ended" if fields.get("exiting") == "true" else "alive" if kind in known else kind
    answered = fields.get("cc_cause")
    return Heard(
        call=fields["session_id"],
        scope=fields.get("hostname", ""),
        line=line,
        caller=fields.get("Caller-Caller-ID-Number", ""),
        caller_name=_name(fields),
        callee=fields.get("Caller-Destination-Number", ""),
        speech=said,
        keys=given if kind == "dtmf" else "",
        confidence=confidence,
        state=state,
        taken=None if answered is None else answered.lower() == "answered",
        invalid=kind == "invalid" or (kind == "detected_speech" and not said),
    )


def input_name(line: Line) -> str:
    return f"said{line.turn}"


def parse_speech(result: str) -> tuple[str, float | None]:
    """A recogniser's result: NLSML of MRCP engines, JSON of others, or the bare text."""
    text = result.strip()
    if text.startswith(("<?xml", "<result")):
        return _nlsml(text)
    if text.startswith("{"):
        return _json(text)
    return result, None


def render(script: Script, settings: PhoneHttapiSettings) -> bytes:
    document = Element("document", type="xml/freeswitch-httapi")
    params = SubElement(document, "params")
    for name, value in {**dict.fromkeys(COUNTS, "0"), **script.line.fields()}.items():
        SubElement(params, name).text = value
    variables, work = SubElement(document, "variables"), SubElement(document, "work")
    if script.first:
        SubElement(work, "answer")
    says = [said for text in script.says if (said := text.replace("$", " ").strip())]
    last = says.pop() if script.then == "listen" and settings.barge_in and says else ""
    for text in says:
        _speak(work, text, script, settings)
    if script.then == "listen":
        _listen(work, variables, last, script, settings)
    elif script.then == "again" and not says:
        SubElement(work, "playback", file=_SILENCE)
    elif script.then == "transfer":
        _transfer(work, settings)
    elif script.then == "hang_up":
        SubElement(work, "hangup", cause="NORMAL_CLEARING")
    elif script.then == "nothing":
        SubElement(work, "break")
    xml = tostring(document, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>{xml}'.encode("utf-8", "replace")


def _speak(work: Element, text: str, script: Script, settings: PhoneHttapiSettings) -> None:
    voice = settings.voice(script.line.language)
    options = {"engine": settings.tts_engine, "text": text} | ({"voice": voice} if voice else {})
    SubElement(work, "speak", options)


def _listen(
    work: Element, variables: Element, last: str, script: Script, settings: PhoneHttapiSettings
) -> None:
    """`last` is said while the switch already listens: as a file of its own kind, which takes engine and voice from the
    channel's variables and knows no colon."""
    if last:
        SubElement(variables, "tts_engine").text = settings.tts_engine
        SubElement(variables, "tts_voice").text = settings.voice(script.line.language) or "default"
    options = {
        "name": input_name(script.line),
        "file": f"say:{last.replace(':', ' ')}" if last else _SILENCE,
        "digit-timeout": _DIGIT_MILLISECONDS,
        "input-timeout": str(settings.listen_seconds * 1000),
        "loops": "0",
    }
    if settings.asr_engine:
        options |= {"asr-engine": settings.asr_engine, "asr-grammar": settings.asr_grammar}
    playback = SubElement(work, "playback", options)
    if script.digits:
        SubElement(playback, "bind").text = rf"~\d{{{script.digits}}}"
    else:
        SubElement(playback, "bind", strip="#").text = r"~\d{1,30}#"


def _transfer(work: Element, settings: PhoneHttapiSettings) -> None:
    target = settings.transfer_to
    if target.startswith("queue:"):
        SubElement(work, "execute", application="callcenter", data=target.removeprefix("queue:"))
        SubElement(work, "getVar", name="cc_cause")
        return
    number = target.removeprefix("sip:")
    SubElement(work, "dial", context=settings.transfer_context, dialplan="XML").text = number


def _nlsml(text: str) -> tuple[str, float | None]:
    """The surest interpretation; its <input> is what was said."""
    try:
        root = fromstring(text, forbid_dtd=True)
    except (ParseError, DefusedXmlException):
        return "", None
    found: list[tuple[float, str, float | None]] = []
    for element in root.iter():
        if _tag(element) != "interpretation":
            continue
        said = " ".join("".join(one.itertext()).strip() for one in element if _tag(one) == "input")
        confidence = certainty(element.get("confidence"))
        if said.strip():
            found.append((-1.0 if confidence is None else confidence, said.strip(), confidence))
    if not found:
        return "", None
    _, said, confidence = max(found, key=lambda one: one[0])
    return said, confidence


def _json(text: str) -> tuple[str, float | None]:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return "", None
    said = found.get("text") or found.get("transcript") if isinstance(found, dict) else ""
    return (said, certainty(found.get("confidence"))) if isinstance(said, str) else ("", None)


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _name(fields: Mapping[str, str]) -> str:
    """A name that is only the number again is none."""
    name = fields.get("Caller-Caller-ID-Name", "")
    return "" if name == fields.get("Caller-Caller-ID-Number") else name
