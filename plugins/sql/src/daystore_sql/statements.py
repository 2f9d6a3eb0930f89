"""The fixed statements, built with SQLAlchemy once for a dialect and executed as text.

Their parameters are positional; the order is written down with each. Nothing of a user's is ever part of a
statement, and a statement has the same text for one key as for a thousand.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BindParameter,
    ClauseElement,
    ColumnElement,
    FromClause,
    Table,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    update,
)

from daystore_sql.schema import ds_field, ds_layout, ds_name, ds_record, ds_scope, ds_shape

if TYPE_CHECKING:
    from daystore_sql.dialects.base import Dialect

__all__ = ["FEW", "Statements", "compile_text", "is_alive", "is_seen"]

FEW = 64
"""Keys of a statement that takes them one by one."""
_KEYS = tuple(f"key_{n}" for n in range(FEW))


def compile_text(dialect: Dialect, statement: ClauseElement) -> tuple[str, tuple[str, ...]]:
    """Return the text of a statement, and the names of its parameters in the order of their places."""
    compiled: Any = statement.compile(dialect=dialect.sqlalchemy)
    return str(compiled), tuple(compiled.positiontup or ())


def is_alive(record: FromClause) -> ColumnElement[bool]:
    """Whether a record has not expired at the instant ``now``."""
    return or_(record.c.expires_at.is_(None), record.c.expires_at > bindparam("now"))


def is_seen(record: FromClause) -> ColumnElement[bool]:
    """Whether a record is returned when it is read by key: what carries an intent is, alive or not."""
    return or_(is_alive(record), record.c.intent.is_not(None))


class Statements:
    """The fixed statements of a dialect, each compiled when it is first used.

    Args:
        dialect: Of which database.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def _text(self, statement: ClauseElement, *names: str) -> str:
        text, order = compile_text(self._dialect, statement)
        if order != names:
            raise AssertionError(f"the parameters of {text!r} are {order}, not {names}")
        return text

    @cached_property
    def layouts(self) -> str:
        """No parameters. Column: the version of the layout."""
        return self._text(select(ds_layout.c.version_num))

    # --- Names -----------------------------------------------------------------------------------------------

    @cached_property
    def find_scope(self) -> str:
        """Parameters: namespace, collection. Column: id."""
        t = ds_scope.c
        where = (t.namespace == bindparam("namespace"), t.collection == bindparam("collection"))
        return self._text(select(t.id).where(*where), "namespace", "collection")

    @cached_property
    def find_name(self) -> str:
        """Parameters: scope, name. Column: id."""
        t = ds_name.c
        where = (t.scope == bindparam("scope"), t.name == bindparam("name"))
        return self._text(select(t.id).where(*where), "scope", "name")

    @cached_property
    def find_shape(self) -> str:
        """Parameters: scope, digest. Column: id."""
        t = ds_shape.c
        where = (t.scope == bindparam("scope"), t.digest == bindparam("digest"))
        return self._text(select(t.id).where(*where), "scope", "digest")

    @cached_property
    def shapes(self) -> str:
        """Parameter: scope. Columns: id, fields."""
        t = ds_shape.c
        return self._text(select(t.id, t.fields).where(t.scope == bindparam("scope")), "scope")

    @cached_property
    def last_shape(self) -> str:
        """No parameters. Column: the highest id, which rises with each new shape; ``None`` without any."""
        return self._text(select(func.max(ds_shape.c.id)))

    @cached_property
    def insert_scope(self) -> str:
        """Parameters: namespace, collection."""
        return self._insert_name(ds_scope, "namespace", "collection")

    @cached_property
    def insert_name(self) -> str:
        """Parameters: scope, name."""
        return self._insert_name(ds_name, "scope", "name")

    @cached_property
    def insert_shape(self) -> str:
        """Parameters: scope, digest, fields."""
        return self._insert_name(ds_shape, "scope", "digest", "fields")

    # --- Reading ---------------------------------------------------------------------------------------------

    def columns_of(self, record: FromClause) -> tuple[ColumnElement[Any], ...]:
        """Return the columns of a record, in the order in which they are read everywhere."""
        t, text = record.c, self._dialect.text
        times = (t.created_at, t.updated_at, t.expires_at)
        return text(t.key), t.value, text(t.version), *times, t.meta, t.fields, t.intent

    @cached_property
    def _record(self) -> tuple[ColumnElement[Any], ...]:
        return self.columns_of(ds_record)

    @cached_property
    def get(self) -> str:
        """Parameters: scope, key, now. Columns: those of a record."""
        t = ds_record.c
        where = (t.scope == bindparam("scope"), t.key == bindparam("key"), is_seen(ds_record))
        return self._text(select(*self._record).where(*where), "scope", "key", "now")

    @cached_property
    def get_many(self) -> str:
        """Parameters: scope, keys, now. Columns: those of a record."""
        t = ds_record.c
        keys = self._dialect.keys(bindparam("keys"))
        where = (t.scope == bindparam("scope"), t.key.in_(keys), is_seen(ds_record))
        return self._text(select(*self._record).where(*where), "scope", "keys", "now")

    @cached_property
    def get_few(self) -> str:
        """Parameters: scope, `FEW` keys, now. Columns: those of a record. For keys that no list can hold."""
        t = ds_record.c
        where = (t.scope == bindparam("scope"), t.key.in_(list(map(bindparam, _KEYS))), is_seen(ds_record))
        return self._text(select(*self._record).where(*where), "scope", *_KEYS, "now")

    @cached_property
    def fetch(self) -> str:
        """Parameter: ids. Columns: id, and those of a record."""
        t = ds_record.c
        ids = self._dialect.numbers(bindparam("ids"))
        return self._text(select(t.id, *self._record).where(t.id.in_(ids)), "ids")

    @cached_property
    def list_of(self) -> str:
        """Parameters: field, sort key. Column: the packed fields of a record with that list."""
        f, t = ds_field.c, ds_record.c
        where = (f.field == bindparam("field"), f.sort_key == bindparam("sort_key"))
        records = select(f.record).where(*where).limit(literal_column("1")).scalar_subquery()
        return self._text(select(t.fields).where(t.id == records), "field", "sort_key")

    # --- Writing ---------------------------------------------------------------------------------------------

    @cached_property
    def find(self) -> str:
        """Parameters: scope, key. Columns: key, id, version, expires_at, shape, fields, intent."""
        t = ds_record.c
        where = (t.scope == bindparam("scope"), t.key == bindparam("key"))
        return self._text(select(*self._found).where(*where), "scope", "key")

    @cached_property
    def find_many(self) -> str:
        """Parameters: scope, keys. Columns: as of `find`."""
        t = ds_record.c
        keys = self._dialect.keys(bindparam("keys"))
        where = (t.scope == bindparam("scope"), t.key.in_(keys))
        return self._text(select(*self._found).where(*where), "scope", "keys")

    @cached_property
    def find_few(self) -> str:
        """Parameters: scope, `FEW` keys. Columns: as of `find`. For keys that no list can hold."""
        t = ds_record.c
        where = (t.scope == bindparam("scope"), t.key.in_(list(map(bindparam, _KEYS))))
        return self._text(select(*self._found).where(*where), "scope", *_KEYS)

    @cached_property
    def _found(self) -> tuple[ColumnElement[Any], ...]:
        t, text = ds_record.c, self._dialect.text
        return text(t.key), t.id, text(t.version), t.expires_at, t.shape, t.fields, t.intent

    @cached_property
    def last_record(self) -> str:
        """No parameters. Column: the highest id; ``None`` if there is no record."""
        return self._text(select(func.max(ds_record.c.id)))

    @cached_property
    def insert_record(self) -> str:
        """Parameters: those of a record, from its id to its value, in the order of the table."""
        return self._insert(ds_record, *ds_record.c.keys())

    def update_record(self, *, shape: bool, created: bool, held: bool) -> str:
        """Parameters: updated_at, expires_at, version, meta, fields, value, [shape], [created_at], id.

        Args:
            shape: Whether the shape changes. Databases write the index of a column that is set, changed or not.
            created: Whether created_at changes, because the record that was there has expired.
            held: Whether there is an intent, which is removed.
        """
        return self._updates[shape, created, held]

    @cached_property
    def _updates(self) -> Mapping[tuple[bool, bool, bool], str]:
        fixed = ("updated_at", "expires_at", "version", "meta", "fields", "value")
        texts = {}
        for shape, created, held in product((False, True), repeat=3):
            names = (*fixed, *(("shape",) * shape), *(("created_at",) * created))
            values: list[tuple[Any, Any]] = [(ds_record.c[name], bindparam(f"new_{name}")) for name in names]
            values += [(ds_record.c.intent, null())] * held
            change = update(ds_record).ordered_values(*values).where(ds_record.c.id == bindparam("old_id"))
            texts[shape, created, held] = self._text(change, *(f"new_{name}" for name in names), "old_id")
        return texts

    @cached_property
    def set_intent(self) -> str:
        """Parameters: intent, id. Without an intent the one that is there is removed."""
        change = update(ds_record).values(intent=bindparam("new_intent"))
        return self._text(change.where(ds_record.c.id == bindparam("old_id")), "new_intent", "old_id")

    @cached_property
    def delete_record(self) -> str:
        """Parameter: id."""
        return self._text(delete(ds_record).where(ds_record.c.id == bindparam("id")), "id")

    @cached_property
    def insert_field(self) -> str:
        """Parameters: record, field, sort_key, key, whole, real."""
        return self._insert(ds_field, *ds_field.c.keys())

    @cached_property
    def delete_field(self) -> str:
        """Parameters: record, field, sort_key."""
        t = ds_field.c
        names = ("record", "field", "sort_key")
        return self._text(delete(ds_field).where(*(t[name] == bindparam(name) for name in names)), *names)

    @cached_property
    def delete_fields(self) -> str:
        """Parameter: record."""
        return self._text(delete(ds_field).where(ds_field.c.record == bindparam("record")), "record")

    @cached_property
    def touch(self) -> str:
        """No parameters. Writes without changing anything."""
        return self._text(update(ds_layout).values(version_num=ds_layout.c.version_num))

    @cached_property
    def expired(self) -> str:
        """Parameters: now, limit. Column: id. Records that carry an intent are left alone."""
        t = ds_record.c
        found = select(t.id).where(t.expires_at <= bindparam("now"), t.intent.is_(None))
        return self._text(found.order_by(t.expires_at).limit(bindparam("limit")), "now", "limit")

    def _insert_name(self, table: Table, *names: str) -> str:
        return self._text(
            self._dialect.insert_name(
                table, {name: bindparam(name, type_=table.c[name].type) for name in names}
            ),
            *names,
        )

    def _insert(self, table: Table, *names: str) -> str:
        values: dict[str, BindParameter[Any]] = {name: bindparam(name) for name in names}
        return self._text(insert(table).values(values), *names)
