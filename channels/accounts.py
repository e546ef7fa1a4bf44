"""Accounts of channels that were added while the product runs: data, with their secrets sealed.

The console and `huiliu channels` write them, `service.channel_set` opens them. The account that the environment
configures is called `main` and does not stand here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, SecretStr, ValidationError

from channels.contract import MAIN, ChannelSpec
from foundation import errors
from foundation.clock import from_milliseconds, to_milliseconds
from foundation.messages import TenantId
from foundation.storage.database import Sealed, metadata

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")

account_table = sa.Table(
    "channel_account",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("settings", Sealed, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("changed_at", sa.BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Account:
    tenant: TenantId
    channel: str
    account: str
    settings: dict[str, Any]
    active: bool
    changed_at: datetime


def read_all(connection: sa.Connection) -> list[Account]:
    """Of all tenants, for whoever opens them."""
    query = sa.select(account_table).order_by(
        account_table.c.tenant, account_table.c.channel, account_table.c.account
    )
    return [_account(row) for row in connection.execute(query)]


def find(connection: sa.Connection, tenant: TenantId, channel: str, account: str) -> Account | None:
    row = connection.execute(sa.select(account_table).where(*_place(tenant, channel, account))).one_or_none()
    return None if row is None else _account(row)


def save(
    connection: sa.Connection, tenant: TenantId, spec: ChannelSpec, account: str, values: dict[str, Any],
    *, now: datetime, active: bool = True,
) -> None:  # fmt: skip
    """New or changed; secrets that are not given keep their value. Raises `InvalidInput` naming each wrong field."""
    if not _NAME.fullmatch(account) or account == MAIN:
        raise errors.InvalidInput(
            f"An account's name has small letters, digits, - and _, at most 40, and is not {MAIN!r}.",
            code="bad_account_name",
        )
    before = find(connection, tenant, spec.name, account)
    kept = before.settings if before else {}
    given = {name: value for name, value in values.items() if value not in (None, "")}
    hidden = {name: kept[name] for name in secret_fields(spec.settings) if name in kept}
    settings = {**hidden, **given}
    validate(spec, settings)
    row = {
        "settings": json.dumps(settings, ensure_ascii=False), "active": active, "changed_at": to_milliseconds(now),
    }  # fmt: skip
    place = {"tenant": tenant, "channel": spec.name, "account": account}
    if before is None:
        connection.execute(sa.insert(account_table).values(**place, **row))
    else:
        connection.execute(sa.update(account_table).where(*_place(tenant, spec.name, account)).values(**row))


def remove(connection: sa.Connection, tenant: TenantId, channel: str, account: str) -> None:
    """Raises `NotFound`."""
    done = connection.execute(sa.delete(account_table).where(*_place(tenant, channel, account)))
    if not done.rowcount:
        raise errors.NotFound(f"There is no account {account!r} of {channel}.", code="unknown_account")


def validate(spec: ChannelSpec, values: dict[str, Any]) -> BaseModel:
    """The settings as the channel reads them. Raises `InvalidInput`."""
    unknown = sorted(set(values) - set(spec.settings.model_fields))
    if unknown:
        known = ", ".join(spec.settings.model_fields)
        raise errors.InvalidInput(
            f"{spec.name} has no setting {', '.join(unknown)}; there are {known}.", code="unknown_setting"
        )
    try:
        return spec.settings.model_validate(values, strict=False)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'account'}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise errors.InvalidInput(problems, code="bad_settings") from error


def secret_fields(settings: type[BaseModel]) -> list[str]:
    return [name for name, field in settings.model_fields.items() if field.annotation is SecretStr]


def _place(tenant: TenantId, channel: str, account: str) -> tuple[sa.ColumnElement[bool], ...]:
    column = account_table.c
    return (column.tenant == tenant, column.channel == channel, column.account == account)


def _account(row: Any) -> Account:
    return Account(
        row.tenant, row.channel, row.account, json.loads(row.settings), row.active, from_milliseconds(row.changed_at)
    )  # fmt: skip
