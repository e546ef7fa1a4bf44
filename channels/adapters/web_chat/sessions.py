"""Visitors: who starts or renews a session, and what a signed user token changes about it.

`endpoints` calls `start`. A visitor is one browser; signing in keeps the conversation, signing in as somebody else or
signing out begins a new one, so that two people at one computer never share a thread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa
from pydantic import Field, SecretStr

from channels.adapters.web_chat import records
from channels.adapters.web_chat.records import Visitor
from channels.contract import Door, Surroundings
from channels.families.live_chat import codec, tokens, used_tokens
from foundation import conversations, errors, security
from foundation.messages import ConversationId, InboundMessage, MessageId

CHANNEL = "web_chat"
REFRESH_LIFE = timedelta(days=30)
DAY_SECONDS = 86_400
REUSE_LEEWAY = timedelta(seconds=60)
"""The generation before the newest is taken this long: two tabs that renew at once, or an answer that got lost."""


class SessionForm(codec.Strict):
    site_key: str = Field("", max_length=200)
    identity_jwt: str = Field("", max_length=8_000)
    refresh_token: str = Field("", max_length=400)
    keep: Literal["cookie", "storage"] = "cookie"
    """storage: the page cannot keep our cookie and gets the refresh token in the body."""
    fresh: bool = False
    """Signed out: begin as a new visitor."""


@dataclass(frozen=True, slots=True)
class Session:
    visitor_token: str
    expires_at: datetime
    refresh_token: str
    conversation_id: ConversationId
    last_seq: int
    account: str
    renewed: bool
    """The visitor was known already."""


class Sessions:
    def __init__(self, surroundings: Surroundings, site: str) -> None:
        self._around = surroundings
        self._site = site
        self._tokens = tokens.VisitorTokens(
            surroundings.vault.signing_key, surroundings.clock, audience=f"huiliu:{CHANNEL}"
        )

    async def start(self, form: SessionForm, cookie: str, door: Door) -> Session:
        """Raises `NotAuthentic`: the identity token is refused, or the refresh token was used before (`refresh_reused`,
        its family is revoked) or has run out (`refresh_expired`; only when it came in the body)."""
        keys: Mapping[str, SecretStr] = self._around.identity_keys
        now = self._around.clock()
        proven = tokens.read_identity(form.identity_jwt, keys, now) if form.identity_jwt else None
        known = None if form.fresh else await self._known(form.refresh_token, cookie)
        visitor, renewed = await self._around.database.write(
            lambda connection: self._admit(connection, known, proven, now)
        )
        if visitor.revoked:
            raise errors.NotAuthentic(
                "This session was continued somewhere else; start a new one.", code="refresh_reused"
            )
        conversation_id = door.conversation_id(self._stub(visitor, "session"))
        conversation = await self._around.database.read(
            lambda connection: conversations.find(connection, self._around.tenant, conversation_id)
        )
        last_seq = 0 if conversation is None else conversation.last_seq
        if proven is not None and last_seq:
            await self._tell(door, visitor, proven, form.identity_jwt)
        account = visitor.account_at(now)
        token, expires_at = self._tokens.issue(
            self._around.tenant,
            visitor=visitor.visitor,
            conversation_id=conversation_id,
            proven=tokens.ProvenAccount(account, visitor.account_until)
            if account and visitor.account_until
            else None,
        )
        refresh = self._refresh_token(visitor.family, visitor.generation)
        return Session(token, expires_at, refresh, conversation_id, last_seq, account, renewed)

    def read(self, token: str) -> tokens.Pass:
        """Keeps `tokens.Passes`."""
        return self._tokens.read(token, self._around.tenant)

    async def _known(self, given: str, cookie: str) -> tuple[Visitor, int] | None:
        """The visitor and the generation of the token that was shown."""
        token = given or cookie
        family, generation = self._split(token)
        if family:
            found = await self._around.database.read(
                lambda connection: records.find_visitor(connection, self._around.tenant, family)
            )
            if found is not None and not found.revoked and self._around.clock() < found.expires_at:
                return found, generation
        if given:
            raise errors.NotAuthentic("The session has run out; start a new one.", code="refresh_expired")
        return None

    def _admit(
        self, connection: sa.Connection, known: tuple[Visitor, int] | None, proven: tokens.ProvenAccount | None,
        now: datetime,
    ) -> tuple[Visitor, bool]:  # fmt: skip
        """A user token that is refused takes the visitor that was made for it along: nothing stays of it."""
        visitor, renewed = self._step(connection, known, proven, now)
        if proven is not None and not visitor.revoked:
            used_tokens.take(
                connection, self._around.vault, self._around.tenant, proven.token_id, by=visitor.family, until=proven.until,
                now=now,
            )  # fmt: skip
        return visitor, renewed

    def _step(
        self,
        connection: sa.Connection,
        known: tuple[Visitor, int] | None,
        proven: tokens.ProvenAccount | None,
        now: datetime,
    ) -> tuple[Visitor, bool]:
        """Runs in one transaction; a revoked family is handed back as such, so that the revocation commits."""
        if known is None:
            return self._add(connection, proven, now), False
        visitor, generation = known
        current = records.find_visitor(connection, self._around.tenant, visitor.family)
        assert current is not None
        behind = current.generation - generation
        if behind > 1 or (behind == 1 and now - current.rotated_at > REUSE_LEEWAY):
            records.revoke(connection, self._around.tenant, visitor.family)
            return replace(current, revoked=True), True
        if proven is not None and current.account and current.account != proven.account:
            return self._add(connection, proven, now), False
        if current.account and proven is None and not current.account_at(now):
            # The proof ran out: whoever sits there now may be somebody else.
            return self._add(connection, None, now), False
        step = 1 if behind == 0 else 0
        moved = replace(
            current,
            generation=current.generation + step,
            rotated_at=now if step else current.rotated_at,
            expires_at=now + REFRESH_LIFE,
            account=proven.account if proven else current.account,
            account_until=proven.until if proven else current.account_until,
        )
        records.change_visitor(connection, self._around.tenant, moved, was_generation=current.generation)
        return moved, True

    def _add(self, connection: sa.Connection, proven: tokens.ProvenAccount | None, now: datetime) -> Visitor:
        records.forget_visitors(connection, self._around.tenant, now)
        visitor = Visitor(
            family=security.random_token(15),
            visitor=f"v-{security.random_token(15)}",
            generation=1,
            rotated_at=now,
            expires_at=now + REFRESH_LIFE,
            account=proven.account if proven else "",
            account_until=proven.until if proven else None,
        )
        records.add_visitor(connection, self._around.tenant, visitor)
        return visitor

    async def _tell(
        self, door: Door, visitor: Visitor, proven: tokens.ProvenAccount, identity_jwt: str
    ) -> None:
        """The conversation that waits for the sign-in goes on; one user token tells once."""
        key = hashlib.sha256(identity_jwt.encode()).hexdigest()[:32]
        seconds = int((proven.until - self._around.clock()).total_seconds())
        await door.prove(
            self._stub(visitor, key), account=proven.account, valid_seconds=max(1, min(seconds, DAY_SECONDS))
        )

    def _stub(self, visitor: Visitor, key: str) -> InboundMessage:
        return InboundMessage(
            tenant=self._around.tenant,
            channel=CHANNEL,
            account=self._site,
            thread=visitor.visitor,
            message_id=MessageId(f"{visitor.visitor}:{key}"),
            sender=codec.identifiers(CHANNEL, self._site, visitor.visitor, "", device=True),
            kind="event",
            event="session",
            sent_at=self._around.clock(),
        )

    def _refresh_token(self, family: str, generation: int) -> str:
        signature = self._around.vault.lookup_key(
            "web chat refresh", self._around.tenant, family, str(generation)
        )
        return f"{family}.{generation}.{signature}"

    def _split(self, token: str) -> tuple[str, int]:
        """("", 0) for anything that we did not sign."""
        family, _, rest = token.partition(".")
        number = rest.partition(".")[0]
        if not (number.isascii() and number.isdigit() and len(number) < 9):
            return "", 0
        fits = security.equal(self._refresh_token(family, int(number)), token)
        return (family, int(number)) if fits else ("", 0)
