"""What an erasure looks for is found without reading whole tables."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

INDEXES = (
    ("assurance_account", "assurance", "account_identity_id"),
    ("identity_claim_conversation", "identity_claim", "conversation_id"),
    ("identity_relabelling_identity", "identity_relabelling", "identity_id"),
    ("outward_event_lane", "outward_event", "lane"),
    ("webhook_delivery_lane_all", "webhook_delivery", "lane"),
    ("approval_conversation", "approval", "conversation_id"),
)


def upgrade() -> None:
    for name, table, column in INDEXES:
        op.create_index(name, table, ["tenant", column])


def downgrade() -> None:
    for name, table, _ in INDEXES:
        op.drop_index(name, table)
