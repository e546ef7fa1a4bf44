"""Plays a FreeSWITCH with mod_httapi and its callers. Behind `huiliu simulate phone_httapi`.

It keeps parameters as the module does (until they are changed), runs the work of an answer in its order, and ends the
application at what the module ends it at: another type, no work, a tag that it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import urlencode
from xml.etree.ElementTree import Element, ParseError

import httpx
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.types import ASGIApp

from channels.adapters.phone_httapi.codec import credentials
from channels.adapters.phone_httapi.settings import PhoneHttapiSettings
from foundation.clock import Clock
from service.simulate.contract import Call, Options, Shown
from service.simulate.phone.calling import CALLEE, Answer, Caller, Calling, Where, is_keys

PATIENCE_SECONDS = 10.0
TAGS = ("answer", "speak", "playback", "dial", "execute", "getVar", "hangup", "break")
BINDING = "binding"
"""Where a caller's words go: the name of the playback that listens."""


class Httapi(Calling):
    """Keeps `service.simulate.contract.Platform`."""

    def __init__(
        self, settings: BaseModel, options: Options, clock: Clock, show: Callable[[Shown], None]
    ) -> None:
        super().__init__()
        assert isinstance(settings, PhoneHttapiSettings)
        self._settings = settings.or_demo(options.vault)

    @property
    def address(self) -> str:
        return self._settings.api_base

    @property
    def patience_seconds(self) -> float:
        return PATIENCE_SECONDS

    def application(self) -> ASGIApp:
        """The channel calls no API of the platform."""
        return Starlette()

    def forge(self, call: Call) -> Call:
        return replace(call, headers={**call.headers, "authorization": credentials("freeswitch", "guessed")})

    def begins(self, caller: Caller) -> Call:
        return self.request(caller, {})

    def speaks(self, caller: Caller, text: str, where: Where) -> Call:
        params = {name: value for name, value in where.items() if name != BINDING}
        if not text:
            return self.request(caller, params)
        kind = "dtmf" if is_keys(text) else "detected_speech"
        said = text.rstrip("#") if kind == "dtmf" else text
        return self.request(caller, {**params, where[BINDING]: said, "input_type": kind})

    def fetches(self, caller: Caller, where: Where) -> Call:
        return self.request(caller, where)

    def hangs_up(self, caller: Caller) -> Call:
        return self.request(caller, {**(caller.where or {}), "exiting": "true"})

    def understand(self, answer: httpx.Response) -> Answer | None:
        document = _document(answer)
        if document is None:
            return None
        work = document.find("work")
        if work is None or not len(work) or any(tag.tag not in TAGS for tag in work):
            return None
        params = {tag.tag: tag.text or "" for tag in document.iterfind("params/*")}
        says = [said for tag in work if (said := _said(tag))]
        for tag in work:
            if tag.tag in ("dial", "execute"):
                return Answer("over", says=(*says, f"(put through to {tag.text or tag.get('data')})"))
            if tag.tag in ("hangup", "break"):
                return Answer("over", says=tuple(says))
            if tag.find("bind") is not None:
                return Answer("listen", {**params, BINDING: tag.get("name", "dialed_digits")}, tuple(says))
        return Answer("again", params, tuple(says))

    def request(self, caller: Caller, fields: Mapping[str, str]) -> Call:
        """Any request about a call, with the credentials."""
        number = caller.number.removeprefix("+86")
        form = {
            "session_id": caller.call, "hostname": "fs1", "Caller-Caller-ID-Number": number,
            "Caller-Caller-ID-Name": number, "Caller-Destination-Number": CALLEE, "Caller-Direction": "inbound",
            **fields,
        }  # fmt: skip
        return self.signed(urlencode(form).encode())

    def signed(self, body: bytes) -> Call:
        given = credentials(self._settings.user, self._settings.password.get_secret_value())
        return Call(body, {}, {"content-type": "application/x-www-form-urlencoded", "authorization": given})


def _said(tag: Element) -> str:
    if tag.tag == "speak":
        return tag.get("text", "")
    file = tag.get("file", "")
    return file.removeprefix("say:") if file.startswith("say:") else ""


def _document(answer: httpx.Response) -> Element | None:
    if answer.status_code != 200 or "text/xml" not in answer.headers.get("content-type", ""):
        return None
    try:
        return fromstring(answer.content, forbid_dtd=True)
    except (ParseError, DefusedXmlException):
        return None
