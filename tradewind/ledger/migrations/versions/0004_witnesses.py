# SPDX-License-Identifier: Apache-2.0
"""What each volume's witness says, and the machines that wait for a person."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("disk", sa.Column("generation", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("disk", sa.Column("writer", sa.String(12), nullable=False, server_default=""))
    op.create_table(
        "kept",
        sa.Column("run", sa.String(12), primary_key=True),
        sa.Column("transfer", sa.String(8), nullable=False),
        sa.Column("domain", sa.String(255), nullable=False),
        sa.Column("destination", sa.String(255), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("kept")
    op.drop_column("disk", "writer")
    op.drop_column("disk", "generation")
