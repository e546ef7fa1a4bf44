"""What the channels of WeChat and WeCom do alike at the door: the address is checked by a signed GET, calls by the gate."""

from __future__ import annotations

from channels.contract import Acknowledgement, Webhook
from channels.families.wechat.gate import Gate
from channels.platforms.posting import C, Posting


class Gated(Posting[C]):
    _gate: Gate

    def handshake(self, webhook: Webhook) -> Acknowledgement | None:
        if webhook.method != "GET":
            return None
        return Acknowledgement(self._gate.greet(webhook).encode())

    def verify(self, webhook: Webhook) -> None:
        self._gate.admit(webhook)
