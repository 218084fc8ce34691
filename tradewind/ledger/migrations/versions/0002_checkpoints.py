# SPDX-License-Identifier: Apache-2.0
"""The checkpoint a replica is counted from, its moment, and what each volume holds of it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("transfer", sa.Column("consistent", sa.DateTime(timezone=True)))
    op.add_column("transfer", sa.Column("checkpoint", sa.Text()))
    op.execute("UPDATE transfer SET consistent = synced")
    op.add_column("disk", sa.Column("location", sa.String(1024), nullable=False, server_default=""))
    op.add_column("disk", sa.Column("base", sa.String(64)))
    op.add_column(
        "disk", sa.Column("exact", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    op.drop_column("disk", "exact")
    op.drop_column("disk", "base")
    op.drop_column("disk", "location")
    op.drop_column("transfer", "checkpoint")
    op.drop_column("transfer", "consistent")
