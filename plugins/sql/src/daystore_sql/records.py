"""Records as rows, and rows as records."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

import orjson

from daystore.abc import Put, Record
from daystore_sql.encoding import unpack_fields
from daystore_sql.session import Session
from daystore_sql.statements import FEW

__all__ = ["fetch_records", "lookups_by_key", "pack_meta", "read_records", "read_together", "record_of"]

CHUNK = 5000
"""Keys or numbers that go into one parameter."""

_NO_META: Final = ("application/octet-stream", None, None, ())
"""Of a row that stands for what is absent."""


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
    if type(key) is bytes:  # not every driver makes text of what a statement casts
        key, version = key.decode(), version.decode()
    content_type, schema, schema_version, encodings = _unpack_meta(meta) if meta else _NO_META
    return Record(
        key,
        value,
        version,
        created_at,
        updated_at,
        expires_at,
        content_type,
        {} if fields is None else unpack_fields(fields),
        schema,
        schema_version,
        encodings,
        intent,
    )


def read_records(session: Session, collection: str, keys: Sequence[str]) -> list[Record | None]:
    """Read records that are alive or carry an intent, in the order of the keys, ``None`` where there is none."""
    if len(keys) > 1:
        found = _find_records(session, collection, keys)
        return [found.get(key) for key in keys]
    names = session.catalog.collection(collection)
    if names is None:
        return [None]
    parameters = (names.scope, keys[0].encode(), session.clock())
    row = session.execute(session.statements.get, parameters).fetchone()
    return [None if row is None else record_of(row)]


def read_together(session: Session, wanted: Sequence[tuple[str, Sequence[str]]]) -> list[list[Record | None]]:
    """Read records for several callers at once, with a statement for each collection.

    Args:
        session: Where to look.
        wanted: For each caller a collection and keys.

    Returns:
        For each caller what `read_records` would return; no two of them get the same object.
    """
    keys_of: dict[str, list[str]] = {}
    for collection, keys in wanted:
        keys_of.setdefault(collection, []).extend(keys)
    found = {collection: _find_records(session, collection, keys) for collection, keys in keys_of.items()}
    given: set[tuple[str, str]] = set()
    results = []
    for collection, keys in wanted:
        records = [found[collection].get(key) for key in keys]
        results.append([_copy(r) if r and (collection, r.key) in given else r for r in records])
        given.update((collection, key) for key in keys)
    return results


def _copy(record: Record) -> Record:
    return replace(record, fields=dict(record.fields))


def _find_records(session: Session, collection: str, keys: Sequence[str]) -> dict[str, Record]:
    names = session.catalog.collection(collection)
    if names is None:
        return {}
    texts, now = session.statements, session.clock()
    lookups = lookups_by_key(session, names.scope, keys, (now,), many=texts.get_many, few=texts.get_few)
    # What is read together is read as it was at one instant; a single statement does that by itself.
    with session.snapshot() if len(lookups) > 1 else nullcontext():
        return {row[0]: record_of(row) for lookup in lookups for row in session.execute(*lookup).fetchall()}


def lookups_by_key(
    session: Session, scope: int, keys: Sequence[str], others: tuple[object, ...], *, many: str, few: str
) -> list[tuple[str, Sequence[object]]]:
    """Return statements that find rows by key, with their parameters; one for thousands of keys.

    Args:
        session: Where to look.
        scope: Number of the collection.
        keys: Any number of keys.
        others: What the statements take after the keys.
        many: A statement that takes a list of keys.
        few: One that takes `FEW` keys one by one.
    """
    lookups: list[tuple[str, Sequence[object]]] = []
    for start in range(0, len(keys), CHUNK):
        chunk = keys[start : start + CHUNK]
        packed = session.dialect.key_list(chunk)
        if packed is not None:
            lookups.append((many, (scope, packed, *others)))
            continue
        for first in range(0, len(chunk), FEW):
            some = [key.encode() for key in chunk[first : first + FEW]]
            some += some[-1:] * (FEW - len(some))
            lookups.append((few, (scope, *some, *others)))
    return lookups


def fetch_records(session: Session, ids: Sequence[int]) -> dict[int, Record]:
    """Read records by number, whether alive or not."""
    records: dict[int, Record] = {}
    for start in range(0, len(ids), CHUNK):
        packed = session.dialect.number_list(ids[start : start + CHUNK])
        for number, *row in session.execute(session.statements.fetch, (packed,)).fetchall():
            records[number] = record_of(row)
    return records
