"""What the specimens of phone lines share."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from channels.contract import Webhook
from service.simulate.contract import Call
from tests.fakes.specimens.contract import NOW


def webhook_of(call: Call) -> Webhook:
    """As the door hands it on."""
    return Webhook(call.method, call.query, call.headers, call.body, NOW, query_string=urlencode(call.query))


def spoiled(given: str) -> Mapping[str, str]:
    """Signatures that are none, by what is wrong with them."""
    return {
        "empty": "", "letters": "AAAA", "not ascii": "签名", "cut": given[:-3], "longer": given + "0",
        "reversed": given[::-1],
    }  # fmt: skip
