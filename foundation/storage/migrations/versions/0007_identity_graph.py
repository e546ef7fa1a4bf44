"""identity graph

Until now each identity carried the customer of the account it had proven last, and an assurance was kept for each proof.
The assurances become evidence, and every label is computed from it, by the rules as they were when this was written.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import sqlalchemy as sa
from alembic import op


revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "identity_cannot_link",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("a", sa.Text(), nullable=False),
        sa.Column("b", sa.Text(), nullable=False),
        sa.Column("op", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("lifted_by", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "a", "b", "op"),
    )
    with op.batch_alter_table("identity_cannot_link", schema=None) as batch_op:
        batch_op.create_index("identity_cannot_link_b", ["tenant", "b"], unique=False)
        batch_op.create_index("identity_cannot_link_op", ["tenant", "op"], unique=False)

    op.create_table(
        "identity_claim",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("identity_id", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("lookup", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id"),
    )
    with op.batch_alter_table("identity_claim", schema=None) as batch_op:
        batch_op.create_index("identity_claim_age", ["tenant", "expires_at"], unique=False)
        batch_op.create_index("identity_claim_identity", ["tenant", "identity_id"], unique=False)
        batch_op.create_index("identity_claim_lookup", ["tenant", "lookup"], unique=False)

    op.create_table(
        "identity_edge",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("a", sa.Text(), nullable=False),
        sa.Column("b", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("strength", sa.Integer(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("suppressed", sa.Text(), nullable=False),
        sa.Column("made_by", sa.BigInteger(), nullable=True),
        sa.Column("undone_by", sa.BigInteger(), nullable=True),
        sa.Column("split_by", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "a", "b", "evidence"),
    )
    with op.batch_alter_table("identity_edge", schema=None) as batch_op:
        batch_op.create_index("identity_edge_b", ["tenant", "b"], unique=False)
        batch_op.create_index("identity_edge_made", ["tenant", "made_by"], unique=False)
        batch_op.create_index("identity_edge_split", ["tenant", "split_by"], unique=False)
        batch_op.create_index("identity_edge_suppressed", ["tenant", "suppressed", "at"], unique=False)

    op.create_table(
        "identity_op",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("undoes", sa.BigInteger(), nullable=True),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "number"),
        sa.UniqueConstraint("tenant", "undoes", name="identity_op_undoes"),
    )
    op.create_table(
        "identity_relabelling",
        sa.Column(
            "number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("op", sa.BigInteger(), nullable=True),
        sa.Column("identity_id", sa.Text(), nullable=False),
        sa.Column("old_customer_id", sa.Text(), nullable=False),
        sa.Column("new_customer_id", sa.Text(), nullable=False),
        sa.Column("old_access_id", sa.Text(), nullable=False),
        sa.Column("new_access_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    with op.batch_alter_table("identity_relabelling", schema=None) as batch_op:
        batch_op.create_index("identity_relabelling_order", ["tenant", "number"], unique=False)

    with op.batch_alter_table("conversation_identity", schema=None) as batch_op:
        batch_op.add_column(sa.Column("shown_identity_id", sa.Text(), nullable=True))

    with op.batch_alter_table("identity", schema=None) as batch_op:
        for name, kind in NEW_COLUMNS.items():
            batch_op.add_column(sa.Column(name, kind, nullable=True))

    _move(op.get_bind())

    with op.batch_alter_table("conversation_identity", schema=None) as batch_op:
        batch_op.alter_column("shown_identity_id", existing_type=sa.Text(), nullable=False)
        batch_op.create_index("conversation_identity_entrance", ["tenant", "identity_id"], unique=False)
        batch_op.create_index("conversation_identity_shown", ["tenant", "shown_identity_id"], unique=False)

    with op.batch_alter_table("identity", schema=None) as batch_op:
        for name, kind in NEW_COLUMNS.items():
            batch_op.alter_column(name, existing_type=kind, nullable=False)
        batch_op.create_index("identity_access", ["tenant", "access_id"], unique=False)
        batch_op.create_unique_constraint("identity_lookup", ["tenant", "lookup", "epoch"])


NEW_COLUMNS: dict[str, Any] = {
    "lookup": sa.Text(),
    "epoch": sa.Integer(),
    "begins_at": sa.BigInteger(),
    "device": sa.Boolean(),
    "shared": sa.Boolean(),
    "access_id": sa.Text(),
}
DEVICES = {"web_chat", "alexa", "dueros", "dueros_device", "xiaoai", "xiaoai_device", "aligenie"}
LIKELY, PROVEN = 1, 3
MEMBERS, ACCOUNTS, DEVICE_ACCOUNTS = 60, 8, 1

identity = sa.table(
    "identity",
    *(sa.column(name) for name in ("tenant", "id", "namespace", "proven", "customer_id", "first_seen")),
    *(sa.column(name, kind) for name, kind in NEW_COLUMNS.items()),
)
edge = sa.table(
    "identity_edge",
    *(
        sa.column(name)
        for name in (
            "tenant",
            "a",
            "b",
            "evidence",
            "strength",
            "score",
            "at",
            "actor",
            "model_version",
            "suppressed",
        )
    ),
)
entrance = sa.table(
    "conversation_identity",
    *(sa.column(name) for name in ("tenant", "conversation_id", "identity_id", "shown_identity_id")),
)
assurance = sa.table(
    "assurance",
    *(sa.column(name) for name in ("tenant", "conversation_id", "account_identity_id", "proven_at")),
)
conversation = sa.table("conversation", *(sa.column(name) for name in ("tenant", "id", "customer_id")))


def _move(connection: sa.Connection) -> None:
    tenants: dict[str, dict[str, Any]] = defaultdict(dict)
    for row in connection.execute(sa.select(identity)):
        tenants[row.tenant][row.id] = row
    for tenant, nodes in tenants.items():
        devices = {row.id for row in nodes.values() if row.namespace.split(":")[0] in DEVICES}
        times = _proofs(connection, tenant, nodes)
        shared, suppressed, access, customer = _divide(nodes, devices, times)
        for (one, account), at in times.items():
            a, b = sorted((one, account))
            connection.execute(
                sa.insert(edge).values(
                    tenant=tenant, a=a, b=b, evidence="device" if one in devices else "session",
                    strength=LIKELY if one in devices else PROVEN, score=1.0, at=at, actor="", model_version="",
                    suppressed=suppressed.get((one, account), ""),
                )
            )  # fmt: skip
        for row in nodes.values():
            connection.execute(
                sa.update(identity)
                .where(identity.c.tenant == tenant, identity.c.id == row.id)
                .values(
                    lookup=row.id, epoch=0, begins_at=0, device=row.id in devices, shared=row.id in shared,
                    customer_id=customer[row.id], access_id=access[row.id],
                )
            )  # fmt: skip
        personal = {row.id for row in nodes.values() if row.proven and row.id not in devices}
        _show(connection, tenant, customer, personal)


def _proofs(connection: sa.Connection, tenant: str, nodes: dict[str, Any]) -> dict[tuple[str, str], int]:
    """When each name that a channel vouches for first proved each account."""
    times: dict[tuple[str, str], int] = {}
    query = (
        sa.select(entrance.c.identity_id, assurance.c.account_identity_id, sa.func.min(assurance.c.proven_at))
        .join_from(
            assurance,
            entrance,
            sa.and_(
                entrance.c.tenant == assurance.c.tenant,
                entrance.c.conversation_id == assurance.c.conversation_id,
            ),
        )
        .where(assurance.c.tenant == tenant)
        .group_by(entrance.c.identity_id, assurance.c.account_identity_id)
    )
    for one, account, at in connection.execute(query):
        if one != account and one in nodes and account in nodes and nodes[one].proven:
            times[one, account] = at
    for row in nodes.values():
        if (
            row.customer_id != row.id
            and row.customer_id in nodes
            and nodes[row.customer_id].namespace == "account"
        ):
            times.setdefault((row.id, row.customer_id), row.first_seen)
    return times


def _divide(
    nodes: dict[str, Any], devices: set[str], times: dict[tuple[str, str], int]
) -> tuple[set[str], dict[tuple[str, str], str], dict[str, str], dict[str, str]]:
    """Every edge ends at an account, so a customer is an account and the names that took it first."""
    accounts: dict[str, int] = defaultdict(int)
    for one, _account in times:
        accounts[one] += 1
    shared = {
        one for one, count in accounts.items() if count > (DEVICE_ACCOUNTS if one in devices else ACCOUNTS)
    }
    chosen: dict[str, str] = {}
    sizes: dict[str, int] = defaultdict(lambda: 1)
    suppressed: dict[tuple[str, str], str] = {}

    def take(some: list[tuple[str, str]]) -> None:
        for one, account in sorted(some, key=lambda key: (times[key], *sorted(key))):
            if one in shared:
                suppressed[one, account] = "shared"
            elif one in chosen:
                suppressed[one, account] = "unique"
            elif sizes[account] >= MEMBERS:
                suppressed[one, account] = "size"
            else:
                chosen[one] = account
                sizes[account] += 1

    take([key for key in times if key[0] not in devices])
    access = _labels(nodes, chosen)
    take([key for key in times if key[0] in devices])
    return shared, suppressed, access, _labels(nodes, chosen)


def _labels(nodes: dict[str, Any], chosen: dict[str, str]) -> dict[str, str]:
    oldest: dict[str, tuple[int, str]] = {}
    for name, row in nodes.items():
        group = chosen.get(name, name)
        oldest[group] = min(oldest.get(group, (row.first_seen, name)), (row.first_seen, name))
    return {name: oldest[chosen.get(name, name)][1] for name in nodes}


def _show(connection: sa.Connection, tenant: str, customer: dict[str, str], personal: set[str]) -> None:
    """A conversation is listed under who came in; through a device or an unvouched name under whose customer it was, and
    a customer's id was an identity's."""
    query = (
        sa.select(entrance.c.conversation_id, entrance.c.identity_id, conversation.c.customer_id)
        .join_from(
            entrance,
            conversation,
            sa.and_(
                conversation.c.tenant == entrance.c.tenant, conversation.c.id == entrance.c.conversation_id
            ),
            isouter=True,
        )
        .where(entrance.c.tenant == tenant)
    )
    for conversation_id, identity_id, customer_id in connection.execute(query).all():
        shown = customer_id if customer_id in customer and identity_id not in personal else identity_id
        connection.execute(
            sa.update(entrance)
            .where(entrance.c.tenant == tenant, entrance.c.conversation_id == conversation_id)
            .values(shown_identity_id=shown)
        )
        connection.execute(
            sa.update(conversation)
            .where(conversation.c.tenant == tenant, conversation.c.id == conversation_id)
            .values(customer_id=customer.get(shown, shown))
        )


def downgrade() -> None:
    with op.batch_alter_table("identity", schema=None) as batch_op:
        batch_op.drop_constraint("identity_lookup", type_="unique")
        batch_op.drop_index("identity_access")
        batch_op.drop_column("access_id")
        batch_op.drop_column("shared")
        batch_op.drop_column("device")
        batch_op.drop_column("begins_at")
        batch_op.drop_column("epoch")
        batch_op.drop_column("lookup")

    with op.batch_alter_table("conversation_identity", schema=None) as batch_op:
        batch_op.drop_index("conversation_identity_shown")
        batch_op.drop_index("conversation_identity_entrance")
        batch_op.drop_column("shown_identity_id")

    with op.batch_alter_table("identity_relabelling", schema=None) as batch_op:
        batch_op.drop_index("identity_relabelling_order")

    op.drop_table("identity_relabelling")
    op.drop_table("identity_op")
    with op.batch_alter_table("identity_edge", schema=None) as batch_op:
        batch_op.drop_index("identity_edge_suppressed")
        batch_op.drop_index("identity_edge_split")
        batch_op.drop_index("identity_edge_made")
        batch_op.drop_index("identity_edge_b")

    op.drop_table("identity_edge")
    with op.batch_alter_table("identity_claim", schema=None) as batch_op:
        batch_op.drop_index("identity_claim_lookup")
        batch_op.drop_index("identity_claim_identity")
        batch_op.drop_index("identity_claim_age")

    op.drop_table("identity_claim")
    with op.batch_alter_table("identity_cannot_link", schema=None) as batch_op:
        batch_op.drop_index("identity_cannot_link_op")
        batch_op.drop_index("identity_cannot_link_b")

    op.drop_table("identity_cannot_link")
