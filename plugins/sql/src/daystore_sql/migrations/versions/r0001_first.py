"""The first layout."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make all tables."""
    _names()
    _records()
    _fields()
    if op.get_context().dialect.name != "sqlite":
        op.create_table(
            "ds_commit",
            sa.Column("id", sa.LargeBinary(16), primary_key=True),
            sa.Column("outcome", sa.LargeBinary),
        )


def _names() -> None:
    op.create_table(
        "ds_scope",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("namespace", sa.LargeBinary(128), nullable=False),
        sa.Column("collection", sa.LargeBinary(63), nullable=False),
        sa.UniqueConstraint("namespace", "collection", name="ds_scope_collection"),
    )
    op.create_table(
        "ds_name",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("scope", _ID, nullable=False),
        sa.Column("name", sa.LargeBinary(128), nullable=False),
        sa.UniqueConstraint("scope", "name", name="ds_name_name"),
    )
    op.create_table(
        "ds_shape",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("scope", _ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(16), nullable=False),
        sa.Column("fields", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("scope", "digest", name="ds_shape_digest"),
    )


def _records() -> None:
    op.create_table(
        "ds_record",
        sa.Column("id", _ID, primary_key=True),
        sa.Column("scope", _ID, nullable=False),
        sa.Column("key", sa.LargeBinary(256), nullable=False),
        sa.Column("shape", _ID, nullable=False),
        sa.Column("version", sa.LargeBinary(256), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("meta", sa.LargeBinary),
        sa.Column("fields", sa.LargeBinary),
        sa.Column("intent", sa.LargeBinary),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
    op.create_index("ds_record_key", "ds_record", ["scope", "key"], unique=True)
    for index, columns in (
        ("ds_record_shape", ["shape", "key"]),
        ("ds_record_created", ["scope", "created_at", "key"]),
        ("ds_record_updated", ["scope", "updated_at", "key"]),
    ):
        every = sa.text(f"{columns[-2]} IS NOT NULL")
        op.create_index(index, "ds_record", columns, postgresql_where=every)
    for index, columns, column in (
        ("ds_record_expires", ["expires_at"], "expires_at"),
        ("ds_record_intent", ["scope", "key"], "intent"),
    ):
        some = sa.text(f"{column} IS NOT NULL")
        op.create_index(index, "ds_record", columns, sqlite_where=some, postgresql_where=some)


def _fields() -> None:
    op.create_table(
        "ds_field",
        sa.Column("record", _ID, primary_key=True, autoincrement=False),
        sa.Column("field", _ID, primary_key=True, autoincrement=False),
        sa.Column("sort_key", sa.LargeBinary(1025), primary_key=True),
        sa.Column("key", sa.LargeBinary(256), nullable=False),
        sa.Column("whole", sa.BigInteger),
        sa.Column("real", sa.Double),
        sqlite_with_rowid=False,
    )
    op.create_index("ds_field_sort", "ds_field", ["field", "sort_key", "key"])
