"""identities to compare, and keys by which staff find a customer

Whoever is known already is put on the list, so that an installation that is upgraded compares everybody once.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "changed_identity",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("identity_id", sa.Text(), nullable=False),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "identity_id"),
    )
    with op.batch_alter_table("changed_identity", schema=None) as batch_op:
        batch_op.create_index("changed_identity_stage", ["tenant", "stage"], unique=False)
    op.create_table(
        "search_key",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("identity_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "key", "identity_id"),
    )
    with op.batch_alter_table("search_key", schema=None) as batch_op:
        batch_op.create_index("search_key_identity", ["tenant", "identity_id"], unique=False)
    op.execute(
        "INSERT INTO changed_identity (tenant, identity_id, stage, times) SELECT tenant, id, 0, 1 FROM identity"
    )


def downgrade() -> None:
    op.drop_table("search_key")
    op.drop_table("changed_identity")
