# SPDX-License-Identifier: Apache-2.0
"""Outages of moves: how far each came, who drives it, and how it ended."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outage",
        sa.Column("id", sa.String(12), primary_key=True),
        sa.Column("transfer_id", sa.String(8), sa.ForeignKey("transfer.id"), nullable=False),
        sa.Column("begun", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended", sa.DateTime(timezone=True)),
        sa.Column("phase", sa.String(24), nullable=False),
        sa.Column("end", sa.String(16)),
        sa.Column("machine", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text()),
        sa.Column("deployment", sa.String(12)),
        sa.Column("new_name", sa.String(255)),
        sa.Column("new_uuid", sa.String(36)),
    )
    op.create_index("ix_outage_transfer_id", "outage", ["transfer_id"])
    op.create_index("ix_outage_deployment", "outage", ["deployment"])


def downgrade() -> None:
    op.drop_table("outage")
