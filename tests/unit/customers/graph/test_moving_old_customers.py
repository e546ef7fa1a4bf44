"""Rows from before the graph become nodes and evidence, and nobody meets anybody else by that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command

from customers import records as places
from customers.graph import records
from customers.graph.area import load
from customers.graph.partition import Rules, divide
from foundation.messages import TenantId
from foundation.security import Vault
from foundation.storage import migrations

BEFORE = "0003"
TENANT = TenantId("demo")


def identity(
    name: str, namespace: str, first_seen: int, *, customer: str = "", proven: bool = True
) -> dict[str, Any]:
    return {
        "tenant": "demo", "id": name, "namespace": namespace, "proven": proven, "customer_id": customer or name,
        "first_seen": first_seen, "last_seen": 900,
    }  # fmt: skip


OLD = [
    identity("anna", "account", 20), identity("ben", "account", 30), identity("cleo", "account", 40),
    identity("openid", "wechat_oa:wx", 10, customer="anna"),
    identity("slack", "slack:t", 50, customer="anna"),
    identity("two", "email:box", 60, customer="ben"),
    identity("browser", "web_chat:main", 5, customer="anna"),
    identity("kiosk", "web_chat:main", 6, customer="ben"),
    identity("typed", "email:box", 7, proven=False),
]  # fmt: skip
PROOFS = [
    ("openid", "anna", 100), ("openid", "anna", 300), ("slack", "anna", 110), ("two", "anna", 200),
    ("two", "ben", 250), ("browser", "anna", 120), ("kiosk", "anna", 130), ("kiosk", "ben", 140),
    ("typed", "cleo", 150),
]  # fmt: skip
LISTED = {"openid": "anna", "slack": "anna", "two": "ben", "browser": "anna", "kiosk": "ben", "typed": "cleo"}


def fill(engine: sa.Engine, vault: Vault) -> None:
    def insert(connection: sa.Connection, table: str, row: dict[str, Any]) -> None:
        names = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)

    with engine.begin() as connection:
        for row in OLD:
            insert(connection, "identity", row | {"value": vault.seal(row["id"])})
        for name, customer in LISTED.items():
            place = {"tenant": "demo", "conversation_id": f"c-{name}", "identity_id": name}
            insert(connection, "conversation_identity", place)
            talk = {
                "id": f"c-{name}", "tenant": "demo", "channel": "x", "account": "main", "recipient": vault.seal("r"),
                "customer_id": customer, "created_at": 1, "updated_at": 1,
            }  # fmt: skip
            insert(connection, "conversation", talk)
        for name, account, at in PROOFS:
            proof = {
                "tenant": "demo", "conversation_id": f"c-{name}", "account_identity_id": account, "method": "test",
                "proven_at": at, "expires_at": at + 10,
            }  # fmt: skip
            insert(connection, "assurance", proof)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_old_customers_become_a_graph(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, vault: Vault
) -> None:
    url = (
        f"sqlite:///{tmp_path / 'old.db'}"
        if kind == "sqlite"
        else request.getfixturevalue("empty_postgres_url")
    )
    command.upgrade(migrations.configuration(url), BEFORE)
    engine = sa.create_engine(url)
    engine.dialect.vault = vault  # type: ignore[attr-defined]  # read by Sealed
    fill(engine, vault)
    migrations.upgrade(url)
    with engine.connect() as connection:
        nodes = records.find_many(connection, TENANT, [row["id"] for row in OLD])
        assert {name: one.value for name, one in nodes.items()} == {name: name for name in nodes}
        assert {name: (one.customer_id, one.access_id) for name, one in nodes.items()} == {
            "openid": ("browser", "openid"), "anna": ("browser", "openid"), "slack": ("browser", "openid"),
            "two": ("browser", "openid"), "browser": ("browser", "browser"), "kiosk": ("kiosk", "kiosk"),
            "ben": ("ben", "ben"), "cleo": ("cleo", "cleo"), "typed": ("typed", "typed"),
        }  # fmt: skip
        assert [name for name, one in nodes.items() if one.shared] == ["kiosk"]
        area = load(connection, TENANT, list(nodes))
        rows = connection.execute(sa.select(records.edge_table)).all()
        edges = [records.find_edge(connection, TENANT, (row.a, row.b, row.evidence)) for row in rows]
        assert {(one.edge.key, one.edge.at, one.suppressed) for one in edges if one} == {
            (("anna", "openid", "session"), 100, ""), (("anna", "slack", "session"), 110, ""),
            (("anna", "two", "session"), 200, ""), (("ben", "two", "session"), 250, "unique"),
            (("anna", "browser", "device"), 120, ""), (("anna", "kiosk", "device"), 130, "shared"),
            (("ben", "kiosk", "device"), 140, "shared"),
        }  # fmt: skip
        division = divide(
            [one.node for one in area.members.values()], [one.edge for one in edges if one], [], Rules()
        )
        assert {name: labels.customer for name, labels in division.labels.items()} == {
            name: one.customer_id for name, one in nodes.items()
        }
        talk = connection.execute(sa.text("SELECT id, customer_id FROM conversation"))
        assert dict(tuple(row) for row in talk) == {
            "c-openid": "browser", "c-slack": "browser", "c-two": "browser", "c-browser": "browser", "c-kiosk": "ben",
            "c-typed": "cleo",
        }  # fmt: skip
        found = places.find_entrance(connection, TENANT, "c-kiosk")  # type: ignore[arg-type]
        assert found == places.Entrance("kiosk", "ben")
    engine.dispose()
