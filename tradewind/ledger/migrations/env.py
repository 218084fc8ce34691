# SPDX-License-Identifier: Apache-2.0
"""Alembic's entry: runs migrations on the connection that the ledger hands over."""

from alembic import context

from tradewind.ledger import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.metadata,
    transactional_ddl=False,  # the ledger's own transaction is around all of it
)
context.run_migrations()
