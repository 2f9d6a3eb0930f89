"""The tables, for every dialect.

What users name, keys, collections, namespaces, fields and strings, is kept as UTF-8 bytes: every database compares
bytes the same way and refuses none, whatever its collations.

``ds_scope``   the collections of each namespace, numbered
``ds_name``    the fields of each collection, numbered
``ds_shape``   the sets of fields that records of a collection have, numbered: finds the records without a field
``ds_record``  the records; an expired one stays until it is swept, and as long as it carries an intent
``ds_field``   the index of fields: see `daystore_sql.encoding`
``ds_commit``  what became of recent writes, for those whose reply was lost; not on SQLite, which is never far
``ds_layout``  the version of this layout

A change here needs a revision in `daystore_sql.migrations` that makes the same change.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
)

__all__ = [
    "HEAD",
    "LAYOUT",
    "METADATA",
    "REVISIONS",
    "ds_commit",
    "ds_field",
    "ds_layout",
    "ds_name",
    "ds_record",
    "ds_scope",
    "ds_shape",
    "tables",
]

REVISIONS = ("0001",)
"""The versions of the layout, oldest first: the revisions in `daystore_sql.migrations`."""
HEAD = REVISIONS[-1]
LAYOUT = "ds_layout"

METADATA: MetaData = MetaData()

_ID = BigInteger().with_variant(
    Integer(), "sqlite"
)  # there only INTEGER is the row's own number; it has 64 bits

ds_layout: Table = Table(
    LAYOUT,
    METADATA,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="ds_layout_pkc"),
)

ds_scope: Table = Table(
    "ds_scope",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("namespace", LargeBinary(128), nullable=False),
    Column("collection", LargeBinary(63), nullable=False),
    UniqueConstraint("namespace", "collection", name="ds_scope_collection"),
)

ds_name: Table = Table(
    "ds_name",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("scope", _ID, nullable=False),
    Column("name", LargeBinary(128), nullable=False),
    UniqueConstraint("scope", "name", name="ds_name_name"),
)

ds_shape: Table = Table(
    "ds_shape",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("scope", _ID, nullable=False),
    Column("digest", LargeBinary(16), nullable=False),
    Column("fields", LargeBinary, nullable=False),
    UniqueConstraint("scope", "digest", name="ds_shape_digest"),
)

# The value comes last: databases read a row from its front.
ds_record: Table = Table(
    "ds_record",
    METADATA,
    Column("id", _ID, primary_key=True),
    Column("scope", _ID, nullable=False),
    Column("key", LargeBinary(256), nullable=False),
    Column("shape", _ID, nullable=False),
    Column("version", LargeBinary(256), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("meta", LargeBinary),
    Column("fields", LargeBinary),
    Column("intent", LargeBinary),
    Column("value", LargeBinary, nullable=False),
)
Index("ds_record_key", ds_record.c.scope, ds_record.c.key, unique=True)
# All rows are in these. The condition keeps PostgreSQL from looking for a key there while a table is small,
# and from going on with it when the table has grown.
for _name, _columns in (
    ("shape", (ds_record.c.shape, ds_record.c.key)),
    ("created", (ds_record.c.scope, ds_record.c.created_at, ds_record.c.key)),
    ("updated", (ds_record.c.scope, ds_record.c.updated_at, ds_record.c.key)),
):
    Index(f"ds_record_{_name}", *_columns, postgresql_where=_columns[-2].is_not(None))
_expires = ds_record.c.expires_at.is_not(None)
Index("ds_record_expires", ds_record.c.expires_at, sqlite_where=_expires, postgresql_where=_expires)
_intent = ds_record.c.intent.is_not(None)
_key = (ds_record.c.scope, ds_record.c.key)
Index("ds_record_intent", *_key, sqlite_where=_intent, postgresql_where=_intent)

ds_field: Table = Table(
    "ds_field",
    METADATA,
    Column("record", _ID, primary_key=True, autoincrement=False),
    Column("field", _ID, primary_key=True, autoincrement=False),
    Column("sort_key", LargeBinary(1025), primary_key=True),
    Column("key", LargeBinary(256), nullable=False),
    Column("whole", BigInteger),
    Column("real", Double),
    sqlite_with_rowid=False,
)
Index("ds_field_sort", ds_field.c.field, ds_field.c.sort_key, ds_field.c.key)

# The name begins with the time, so what is old is a range of the primary key.
ds_commit: Table = Table(
    "ds_commit",
    METADATA,
    Column("id", LargeBinary(16), primary_key=True),
    Column("outcome", LargeBinary),
)


def tables(database: str) -> list[Table]:
    """Return the tables that a database has, by SQLAlchemy's name of its kind."""
    return [table for table in METADATA.sorted_tables if table is not ds_commit or database != "sqlite"]
