"""Which conversation a mail belongs to, and the Message-ID of ours; pure.

A thread is the digest of mailbox, sender, whether the sender is proven, and the root's message id. Sender and proof are
part of it, so that a stranger who knows an id of a conversation (a copy, a forwarded mail) or forges a From cannot speak
in it: such a mail is a conversation of its own. Our own ids carry the root and the thread under a keyed digest, for
clients that name only the last mail and for bounces; nobody without the key can make one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

_OWN = re.compile(r"hl\.([0-9a-f]{24})\.([0-9a-f]{32})\.([0-9a-f]{24})\.([0-9a-f]{16})@")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a mail stands: the digests of its root and of its thread."""

    root: str
    thread: str


@dataclass(frozen=True, slots=True)
class Threads:
    key: str
    account: str
    address: str

    def place(self, *, sender: str, proven: bool, own_id: str, references: Sequence[str]) -> Place:
        """`references`: References, then In-Reply-To, in their order."""
        root = self.root(own_id, references)
        thread = digest("thread", self.account, self.address, sender, str(proven), root)[:32]
        return Place(root, thread)

    def root(self, own_id: str, references: Sequence[str]) -> str:
        for known in map(self.recognise, references):
            if known is not None:
                return known.root
        return digest("root", references[0] if references else own_id)[:24]

    def make_id(self, place: Place, idempotency_key: str) -> str:
        """The same for every attempt to send one part of one reply. Without brackets."""
        body = f"hl.{place.root}.{place.thread}.{digest('key', idempotency_key)[:24]}"
        return f"{body}.{self._seal(body)}@{self.address.rpartition('@')[2]}"

    def recognise(self, message_id: str) -> Place | None:
        """None where the id is not one of ours."""
        match = _OWN.match(message_id)
        if match is None:
            return None
        body = message_id[: match.end(3)]
        return (
            Place(match.group(1), match.group(2))
            if hmac.compare_digest(self._seal(body), match.group(4))
            else None
        )

    def find(self, text: str) -> tuple[str, Place] | None:
        """The first id of ours in a text, for bounces of any form."""
        for match in _OWN.finditer(text):
            place = self.recognise(match.group(0))
            if place is not None:
                return f"{match.group(0)}{self.address.rpartition('@')[2]}", place
        return None

    def _seal(self, body: str) -> str:
        return hmac.new(self.key.encode(), f"{self.account} {body}".encode(), "sha256").hexdigest()[:16]


def digest(*parts: str) -> str:
    """No two different lists of parts give the same text to digest."""
    joined = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()
