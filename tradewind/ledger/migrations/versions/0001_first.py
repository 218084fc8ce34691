# SPDX-License-Identifier: Apache-2.0
"""Transfers, runs, disks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "transfer",
        sa.Column("id", sa.String(8), primary_key=True),
        sa.Column("source", sa.String(255), nullable=False),
        sa.Column("destination", sa.String(255), nullable=False),
        sa.Column("machine_id", sa.String(255), nullable=False),
        sa.Column("machine_name", sa.String(255), nullable=False),
        sa.Column("machine", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("synced", sa.DateTime(timezone=True)),
        sa.UniqueConstraint("source", "destination", "machine_id"),
    )
    op.create_index("ix_transfer_machine_name", "transfer", ["machine_name"])
    op.create_table(
        "run",
        sa.Column("id", sa.String(12), primary_key=True),
        sa.Column("transfer_id", sa.String(8), sa.ForeignKey("transfer.id"), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("begun", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended", sa.DateTime(timezone=True)),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("report", sa.Text()),
    )
    op.create_index("ix_run_transfer_id", "run", ["transfer_id"])
    op.create_index("ix_run_state", "run", ["state"])
    op.create_table(
        "disk",
        sa.Column("transfer_id", sa.String(8), sa.ForeignKey("transfer.id"), primary_key=True),
        sa.Column("disk_id", sa.String(255), primary_key=True),
        sa.Column("pool", sa.String(255), nullable=False),
        sa.Column("volume", sa.String(255), nullable=False),
        sa.Column("format", sa.String(16), nullable=False),
        sa.Column("capacity", sa.BigInteger(), nullable=False),
        sa.Column("serial", sa.String(20), nullable=False),
        sa.Column("written", sa.Boolean(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("disk")
    op.drop_table("run")
    op.drop_table("transfer")
