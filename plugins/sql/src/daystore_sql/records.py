"""Records as rows, and rows as records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import orjson

from daystore.abc import Put, Record
from daystore_sql.encoding import unpack_fields
from daystore_sql.session import Session
from daystore_sql.statements import FEW

__all__ = ["fetch_records", "pack_meta", "read_records", "record_of", "rows_by_key"]

CHUNK = 5000
"""Keys or numbers that go into one parameter."""


@lru_cache(maxsize=1024)
def _pack_meta(
    content_type: str, schema: str | None, version: int | None, encodings: tuple[str, ...]
) -> bytes:
    return orjson.dumps((content_type, schema, version, encodings))


def pack_meta(put: Put) -> bytes:
    """Pack what is needed to decode the value of a record."""
    return _pack_meta(put.content_type, put.schema, put.schema_version, tuple(put.encodings))


@lru_cache(maxsize=1024)
def _unpack_meta(packed: bytes) -> tuple[str, str | None, int | None, tuple[str, ...]]:
    content_type, schema, version, encodings = orjson.loads(packed)
    return content_type, schema, version, tuple(encodings)


def record_of(row: Sequence[Any]) -> Record:
    """Make the record of a row with the columns of a record."""
    key, value, version, created_at, updated_at, expires_at, meta, fields, intent = row
    content_type, schema, schema_version, encodings = _unpack_meta(meta)
    return Record(
        key,
        value,
        version,
        created_at,
        updated_at,
        expires_at,
        content_type,
        unpack_fields(fields),
        schema,
        schema_version,
        encodings,
        intent,
    )


def read_records(session: Session, collection: str, keys: Sequence[str]) -> list[Record | None]:
    """Read live records, in the order of the keys, ``None`` where there is none."""
    now = session.clock()
    names = session.catalog.collection(collection)
    if names is None:
        return [None] * len(keys)
    texts = session.statements
    if len(keys) == 1:
        row = session.execute(texts.get, (names.scope, keys[0].encode(), now)).fetchone()
        return [None if row is None else record_of(row)]
    found: dict[str, Record] = {}
    for row in rows_by_key(session, names.scope, keys, (now,), many=texts.get_many, few=texts.get_few):
        found[row[0]] = record_of(row)
    return [found.get(key) for key in keys]


def rows_by_key(
    session: Session, scope: int, keys: Sequence[str], others: tuple[object, ...], *, many: str, few: str
) -> Iterator[Sequence[Any]]:
    """Yield rows found by key, in any order, with a statement for thousands of keys.

    Args:
        session: Where to look.
        scope: Number of the collection.
        keys: Any number of keys.
        others: What the statements take after the keys.
        many: A statement that takes a list of keys.
        few: One that takes `FEW` keys one by one.
    """
    for start in range(0, len(keys), CHUNK):
        chunk = keys[start : start + CHUNK]
        packed = session.dialect.key_list(chunk)
        if packed is not None:
            yield from session.execute(many, (scope, packed, *others)).fetchall()
            continue
        for first in range(0, len(chunk), FEW):
            some = [key.encode() for key in chunk[first : first + FEW]]
            some += some[-1:] * (FEW - len(some))
            yield from session.execute(few, (scope, *some, *others)).fetchall()


def fetch_records(session: Session, ids: Sequence[int]) -> dict[int, Record]:
    """Read records by number, whether alive or not."""
    records: dict[int, Record] = {}
    for start in range(0, len(ids), CHUNK):
        packed = session.dialect.number_list(ids[start : start + CHUNK])
        for number, *row in session.execute(session.statements.fetch, (packed,)).fetchall():
            records[number] = record_of(row)
    return records
