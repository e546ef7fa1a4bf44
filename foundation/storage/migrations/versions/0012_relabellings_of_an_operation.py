"""Relabellings by their operation: whom a split has moved is asked after each one."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("identity_relabelling_op", "identity_relabelling", ["tenant", "op"])


def downgrade() -> None:
    op.drop_index("identity_relabelling_op", "identity_relabelling")
