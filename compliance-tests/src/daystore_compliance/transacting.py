"""Short ways to read and write inside a transaction over records."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Final

from daystore.abc import RecordTransaction
from daystore_compliance.records import Records

__all__ = ["NEEDS", "begin", "put", "value"]

NEEDS: Final = frozenset({"transactions", "query"})
"""Capabilities without which nothing is promised of transactions."""


def begin(records: Records) -> AbstractAsyncContextManager[RecordTransaction]:
    """Begin a transaction on the adapter of a collection."""
    return records.adapter.transaction()


async def value(tx: RecordTransaction, records: Records, key: str) -> bytes | None:
    """Read the bytes of one record, as a transaction sees it."""
    record = (await tx.read(records.name, [key]))[0]
    return None if record is None else record.value


async def put(
    tx: RecordTransaction, records: Records, key: str, value: bytes = b"tx", **options: object
) -> None:
    """Write one record in a transaction; options as those of `Put`."""
    await tx.write([records.a_put(key, value, **options)])
