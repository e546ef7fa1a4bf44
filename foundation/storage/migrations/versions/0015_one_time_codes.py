"""What a session has proven, by level and purpose; challenges of one-time codes; when a tenant's codes are stopped."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("assurance", schema=None) as batch_op:
        batch_op.add_column(sa.Column("level", sa.Integer(), server_default="3", nullable=False))
        batch_op.add_column(sa.Column("purpose", sa.Text(), server_default="", nullable=False))
    op.create_table(
        "proof_challenge",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("contact", sa.LargeBinary(), nullable=False),
        sa.Column("contact_key", sa.Text(), nullable=False),
        sa.Column("address_key", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("identity_id", sa.Text(), server_default="", nullable=False),
        sa.Column("account", sa.LargeBinary(), nullable=True),
        sa.Column("code_digest", sa.Text(), server_default="", nullable=False),
        sa.Column("outcome", sa.Text(), server_default="", nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("answer_key", sa.Text(), server_default="", nullable=False),
        sa.Column("answer", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "id"),
    )
    with op.batch_alter_table("proof_challenge", schema=None) as batch_op:
        batch_op.create_index("proof_challenge_age", ["tenant", "created_at"], unique=False)
        batch_op.create_index(
            "proof_challenge_contact", ["tenant", "contact_key", "created_at"], unique=False
        )
        batch_op.create_index(
            "proof_challenge_session", ["tenant", "conversation_id", "created_at"], unique=False
        )
    op.create_table(
        "proof_stop",
        sa.Column("tenant", sa.Text(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant"),
    )


def downgrade() -> None:
    op.drop_table("proof_stop")
    op.drop_table("proof_challenge")
    with op.batch_alter_table("assurance", schema=None) as batch_op:
        batch_op.drop_column("purpose")
        batch_op.drop_column("level")
