"""Sessions of an app: the shop's user token in, a short token for one conversation out.

The conversation is the user's, so a second device goes on with it. Nothing is stored: whoever has a valid user token
gets a session, and none outlives the token it came from.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from pydantic import Field

from channels.adapters.app import user_tokens
from channels.adapters.app.settings import NAME, AppSettings
from channels.adapters.app.user_tokens import User
from channels.contract import Door, Surroundings
from channels.families.live_chat import codec, tokens, used_tokens
from foundation import conversations
from foundation.messages import ConversationId, InboundMessage, MessageId
from foundation.security import random_token

DAY_SECONDS = 86_400


class SessionForm(codec.Strict):
    user_token: str = Field("", max_length=user_tokens.TOKEN_LIMIT)


@dataclass(frozen=True, slots=True)
class Session:
    token: str
    expires_at: datetime
    conversation_id: ConversationId
    last_seq: int
    user: User


class Sessions:
    """`settings` are complete: see `AppSettings.or_demo`. Keeps `tokens.Passes`."""

    def __init__(self, settings: AppSettings, surroundings: Surroundings) -> None:
        self._around = surroundings
        self._keys = user_tokens.read_keys(settings.keys.get_secret_value(), settings.public_keys)
        self._rules = user_tokens.Rules(
            settings.audience, settings.issuer, timedelta(hours=settings.token_hours), settings.subject_is_account
        )  # fmt: skip
        self._tokens = tokens.VisitorTokens(
            surroundings.vault.signing_key,
            surroundings.clock,
            audience=f"huiliu:{NAME}:{surroundings.account}",
        )

    @property
    def key_names(self) -> list[str]:
        return [f"{name} ({key.algorithm})" for name, key in self._keys.items()]

    def check(self, user_token: str) -> User:
        """Raises `NotAuthentic`."""
        return user_tokens.check(user_token, self._keys, self._rules, self._around.clock())

    async def start(self, user_token: str, user: User, door: Door) -> Session:
        """`user` is what `check` read from it. Raises `NotAuthentic` when it has a name and has opened a session before."""
        if user.token_id:
            await self._around.database.write(lambda connection: self._take(connection, user))
        conversation_id = door.conversation_id(self._stub(user, "session"))
        conversation = await self._around.database.read(
            lambda connection: conversations.find(connection, self._around.tenant, conversation_id)
        )
        last_seq = 0 if conversation is None else conversation.last_seq
        if user.account and last_seq:
            await self._tell(door, user, user_token)
        token, expires_at = self._tokens.issue(
            self._around.tenant,
            visitor=user.subject,
            conversation_id=conversation_id,
            proven=tokens.ProvenAccount(user.account, user.until) if user.account else None,
            until=user.until,
        )
        return Session(token, expires_at, conversation_id, last_seq, user)

    def _take(self, connection: sa.Connection, user: User) -> None:
        used_tokens.take(
            connection, self._around.vault, self._around.tenant, user.token_id, by=random_token(12), until=user.until,
            now=self._around.clock(),
        )  # fmt: skip

    def read(self, token: str) -> tokens.Pass:
        return self._tokens.read(token, self._around.tenant)

    async def _tell(self, door: Door, user: User, user_token: str) -> None:
        """The conversation that waits for the sign-in goes on; one user token tells once."""
        key = hashlib.sha256(user_token.encode()).hexdigest()[:32]
        seconds = int((user.until - self._around.clock()).total_seconds())
        await door.prove(
            self._stub(user, key), account=user.account, valid_seconds=max(1, min(seconds, DAY_SECONDS))
        )

    def _stub(self, user: User, key: str) -> InboundMessage:
        return InboundMessage(
            tenant=self._around.tenant,
            channel=NAME,
            account=self._around.account,
            thread=user.subject,
            message_id=MessageId(f"session:{key}"),
            sender=codec.identifiers(NAME, self._around.account, user.subject, "", device=False),
            kind="event",
            event="session",
            sent_at=self._around.clock(),
        )
