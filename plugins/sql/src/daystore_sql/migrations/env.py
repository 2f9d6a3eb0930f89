"""What Alembic runs to find out how to migrate."""

from __future__ import annotations

from alembic import context

from daystore_sql.schema import LAYOUT, METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=LAYOUT,
    transactional_ddl=False,  # the transaction that holds the lock is around all of it
)
context.run_migrations()
