"""Decides whether a call comes from Twilio: the address that was typed there and every parameter are under its signature.

`channel.py` asks it before anything is read. The address is configured, never taken from the request: behind a proxy the
two differ. Twilio has been seen to sign with and without the port, so both forms pass. Its calls carry no time; what is
captured and repeated is one message by its id.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from channels.contract import BODY_LIMIT, Webhook
from channels.platforms.signatures import one_of, require
from foundation import errors
from foundation.security import equal

FIELD_LIMIT = 500
_PORTS = {"https": 443, "http": 80}

Pairs = Sequence[tuple[str, str]]


class Gate:
    def __init__(self, address: str, tokens: Sequence[str]) -> None:
        """`address` without the query; a fragment holds Twilio's own options and is not signed."""
        self._addresses = list(forms(address.partition("#")[0]))
        self._tokens = tokens

    def admit(self, webhook: Webhook) -> None:
        """Raises `NotAuthentic`."""
        pairs: Pairs = ()
        if webhook.method == "POST" and "bodySHA256" in webhook.query:
            digest = hashlib.sha256(webhook.body).hexdigest()
            require(equal(webhook.query["bodySHA256"].lower(), digest))
        elif webhook.method == "POST":
            pairs = _signed_pairs(webhook.body)
        query = f"?{webhook.query_string}" if webhook.query_string else ""
        wanted = [
            sign(token, address + query, pairs) for token in self._tokens for address in self._addresses
        ]
        require(one_of(webhook.headers.get("x-twilio-signature", ""), wanted))


def sign(token: str, url: str, pairs: Pairs = ()) -> str:
    """Names sorted by code point, each followed by its value; of a repeated name each different value once."""
    flat = "".join(name + value for name, value in sorted(set(pairs)))
    message = (url + flat).encode("utf-8", "surrogatepass")
    return base64.b64encode(hmac.new(token.encode(), message, hashlib.sha1).digest()).decode()


def parse_form(body: bytes) -> Pairs:
    """Every parameter as decoded, the empty ones too. Raises `UnreadablePayload`."""
    if len(body) > BODY_LIMIT:
        raise errors.UnreadablePayload("The message is too large.", code="too_large")
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FIELD_LIMIT)  # fmt: skip
    except ValueError as error:
        raise errors.UnreadablePayload("The message is not a form.") from error


def forms(address: str) -> Iterable[str]:
    """The address as given, without its port, and with the scheme's usual one."""
    parts = urlsplit(address)
    yield address
    try:
        port, usual = parts.port, _PORTS.get(parts.scheme)
    except ValueError:
        return
    if port is not None:
        yield urlunsplit(parts._replace(netloc=parts.netloc.rpartition(":")[0]))
    elif usual is not None:
        yield urlunsplit(parts._replace(netloc=f"{parts.netloc}:{usual}"))


def _signed_pairs(body: bytes) -> Pairs:
    try:
        return parse_form(body)
    except errors.UnreadablePayload as error:
        raise errors.NotAuthentic("What was signed cannot be read.", code="bad_signature") from error
