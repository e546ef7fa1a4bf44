"""Accounts of the people who run the service: roles, what each may do, logging in, tokens for the API.

The console and the staff's routes call it. A role is a set of permissions and nothing else is asked. Passwords are
kept as scrypt hashes (RFC 7914; N=2^15, r=8, p=1, the OWASP minimum for that r); five wrong ones lock an account
for a quarter of an hour, and a wrong password, an unknown login and a locked account answer alike.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from foundation import errors
from foundation.clock import Clock, to_milliseconds
from foundation.messages import TenantId
from foundation.storage.database import Database
from operations import audit
from operations.records import staff_table

Role = Literal["agent", "editor", "qa", "manager", "admin"]
Permission = Literal[
    "desk.read", "desk.reply", "desk.approve", "knowledge.edit", "knowledge.publish", "prompts.edit",
    "prompts.publish", "quality.run", "staff.manage", "audit.read", "channels.manage",
    "customers.edit", "webhooks.manage", "privacy.erase", "privacy.export", "keys.rotate",
]  # fmt: skip

_DESK: frozenset[Permission] = frozenset({"desk.read", "desk.reply"})
_CONTENT: frozenset[Permission] = frozenset(
    {"knowledge.edit", "knowledge.publish", "prompts.edit", "prompts.publish", "desk.read"}
)
PERMISSIONS: dict[Role, frozenset[Permission]] = {
    "agent": _DESK,
    "editor": _CONTENT,
    "qa": frozenset({"quality.run", "desk.read"}),
    "manager": _DESK
    | _CONTENT
    | {
        "desk.approve",
        "quality.run",
        "audit.read",
        "channels.manage",
        "customers.edit",
        "webhooks.manage",
        "privacy.erase",
        "privacy.export",
    },
    "admin": _DESK
    | _CONTENT
    | {
        "desk.approve",
        "quality.run",
        "audit.read",
        "channels.manage",
        "customers.edit",
        "webhooks.manage",
        "privacy.erase",
        "privacy.export",
        "keys.rotate",
        "staff.manage",
    },  # fmt: skip,
}

FAILURES_BEFORE_LOCK = 5
LOCK = timedelta(minutes=15)
TOKEN_LIFE = timedelta(hours=12)
PASSWORD_LENGTH = 10
_AUDIENCE = "huiliu staff"


@dataclass(frozen=True, slots=True)
class Member:
    tenant: TenantId
    id: str
    login: str
    name: str
    role: Role

    def may(self, permission: Permission) -> bool:
        return permission in PERMISSIONS[self.role]

    def require(self, permission: Permission) -> None:
        if not self.may(permission):
            raise errors.NotPermitted(f"Your role ({self.role}) may not do this; ask an administrator.")


class Staff:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._key = OctKey.import_key(database.vault.signing_key)

    async def ensure_first(self, tenant: TenantId, password: str) -> None:
        """Makes the account `admin` when the tenant has no staff yet; repeatable."""
        if not await self._database.read(lambda connection: _rows(connection, tenant)):
            await self.add(
                tenant, login="admin", name="Admin", role="admin", password=password, actor="setup"
            )

    async def add(
        self, tenant: TenantId, *, login: str, name: str, role: Role, password: str, actor: str
    ) -> Member:
        """Raises `InvalidInput` for a weak password, `Conflict` when the login is taken."""
        if len(password) < PASSWORD_LENGTH:
            raise errors.InvalidInput(
                f"A password needs at least {PASSWORD_LENGTH} characters.", code="weak_password"
            )
        if role not in PERMISSIONS:
            raise errors.InvalidInput(f"There is no role {role!r}; choose one of {', '.join(PERMISSIONS)}.")
        member = Member(tenant, secrets.token_hex(8), login.strip().lower(), name.strip(), role)
        hashed, now = _hash(password), self._clock()

        def insert(connection: sa.Connection) -> None:
            connection.execute(
                sa.insert(staff_table).values(
                    tenant=tenant, id=member.id, login=member.login, name=member.name, role=role, password=hashed,
                    active=True, created_at=to_milliseconds(now),
                )
            )  # fmt: skip
            audit.write(connection, tenant, actor=actor, action="staff.added", subject=member.id, now=now)

        try:
            await self._database.write(insert)
        except sa.exc.IntegrityError as error:
            raise errors.Conflict("This login is taken.", code="login_taken") from error
        return member

    async def log_in(self, tenant: TenantId, login: str, password: str) -> Member:
        """Raises `NotAuthentic`, in the same words whatever was wrong."""
        row = await self._database.read(lambda connection: _find(connection, tenant, login.strip().lower()))
        right = await asyncio.to_thread(_matches, _DUMMY if row is None else bytes(row.password), password)
        moment = self._clock()
        # Decided in one write, after the slow check: guesses that come all at once are counted one by one.
        if row is None or not await self._database.write(
            lambda connection: _admit(connection, tenant, row.id, right=right, now=moment)
        ):
            raise errors.NotAuthentic(
                "The login or the password is wrong, or the account is locked for a while."
            )
        return _member(row)

    async def set_active(self, by: Member, staff_id: str, *, active: bool) -> None:
        """Switching an account off ends its sessions at once. Raises `NotFound`, and `Conflict` for one's own account,
        so that nobody locks the last administrator out."""
        by.require("staff.manage")
        if staff_id == by.id:
            raise errors.Conflict("You cannot switch off your own account.", code="own_account")
        now = self._clock()
        action = "staff.switched_on" if active else "staff.switched_off"

        def write(connection: sa.Connection) -> None:
            changed = connection.execute(_account(by.tenant, staff_id).values(active=active))
            if not changed.rowcount:
                raise errors.NotFound("There is no such account.")
            audit.write(connection, by.tenant, actor=by.id, action=action, subject=staff_id, now=now)

        await self._database.write(write)

    async def members(self, tenant: TenantId) -> list[Member]:
        return [
            _member(row) for row in await self._database.read(lambda connection: _rows(connection, tenant))
        ]

    async def find(self, tenant: TenantId, staff_id: str) -> Member | None:
        """None as well when the account was switched off."""
        rows = await self._database.read(lambda connection: _rows(connection, tenant))
        return next((_member(row) for row in rows if row.id == staff_id and row.active), None)

    def token(self, member: Member) -> str:
        now = self._clock()
        claims = {
            "aud": _AUDIENCE, "sub": member.id, "tenant": member.tenant,
            "iat": int(now.timestamp()), "exp": int((now + TOKEN_LIFE).timestamp()),
        }  # fmt: skip
        return jwt.encode({"alg": "HS256"}, claims, self._key)

    async def from_token(self, token: str) -> Member:
        """Raises `NotAuthentic` for a forged, foreign or expired token, and when the account was switched off."""
        try:
            claims = jwt.decode(token, self._key, algorithms=["HS256"]).claims
        except (JoseError, ValueError) as error:
            raise errors.NotAuthentic("Please log in again.") from error
        if claims.get("aud") != _AUDIENCE or claims.get("exp", 0) <= self._clock().timestamp():
            raise errors.NotAuthentic("Please log in again.")
        member = await self.find(TenantId(str(claims["tenant"])), str(claims["sub"]))
        if member is None:
            raise errors.NotAuthentic("Please log in again.")
        return member


def _admit(connection: sa.Connection, tenant: TenantId, staff_id: str, *, right: bool, now: datetime) -> bool:
    """Counts a wrong password, forgets the count after a right one; False while locked, whatever the password."""
    table = staff_table.c
    row = connection.execute(
        sa.select(table.active, table.failures, table.locked_until)
        .where(table.tenant == tenant, table.id == staff_id)
        .with_for_update()
    ).one()
    if not row.active or row.locked_until > to_milliseconds(now):
        return False
    if right:
        if row.failures or row.locked_until:
            connection.execute(_account(tenant, staff_id).values(failures=0, locked_until=0))
        return True
    failures = row.failures + 1
    lock = failures >= FAILURES_BEFORE_LOCK
    connection.execute(
        _account(tenant, staff_id).values(
            failures=0 if lock else failures, locked_until=to_milliseconds(now + LOCK) if lock else 0
        )
    )
    return False


def _account(tenant: TenantId, staff_id: str) -> sa.Update:
    return sa.update(staff_table).where(staff_table.c.tenant == tenant, staff_table.c.id == staff_id)


def _rows(connection: sa.Connection, tenant: TenantId) -> list[sa.Row[tuple[object, ...]]]:
    query = sa.select(staff_table).where(staff_table.c.tenant == tenant).order_by(staff_table.c.login)
    return list(connection.execute(query).all())


def _find(connection: sa.Connection, tenant: TenantId, login: str) -> sa.Row[tuple[object, ...]] | None:
    return next((row for row in _rows(connection, tenant) if row.login == login), None)


def _member(row: sa.Row[tuple[object, ...]]) -> Member:
    return Member(TenantId(row.tenant), row.id, row.login, row.name, row.role)


def _scrypt(salt: bytes) -> Scrypt:
    return Scrypt(salt=salt, length=32, n=2**15, r=8, p=1)


def _hash(password: str) -> bytes:
    salt = os.urandom(16)
    return salt + _scrypt(salt).derive(password.encode())


def _matches(hashed: bytes, password: str) -> bool:
    try:
        _scrypt(hashed[:16]).verify(password.encode(), hashed[16:])
    except InvalidKey:
        return False
    return True


_DUMMY = bytes(48)
"""An unknown login costs the same time as a known one."""
