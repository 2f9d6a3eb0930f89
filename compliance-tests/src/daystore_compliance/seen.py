"""What open transactions saw, once more from the words of the contract, and whether they may commit.

Part of the oracle of the suite; see `daystore_compliance.model`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from daystore.abc import Query, Record, RecordTransaction
from daystore_compliance.model import Row, select

__all__ = ["Found", "KeyRead", "Open", "QueryRead", "Rows", "Stored", "find", "merged", "stored"]


@dataclass
class Stored(Row):
    """A record as the model knows it, with its version."""

    version: str = ""


Rows = Mapping[str, Stored]
Found = list[tuple[str, str]]
"""Keys and versions, in the order of a query."""


def stored(record: Record | None) -> Stored | None:
    """Return a record as the model knows it."""
    if record is None:
        return None
    times = (record.created_at, record.updated_at, record.expires_at)
    return Stored(record.key, record.fields, record.value, *times, record.version)


@dataclass
class KeyRead:
    """That a record was there at a version, or was not there.

    Attributes:
        binding: Whether the commit must fail when that is no longer so; otherwise it may.
        touched: Whether somebody changed it since, be it that it is as before again.
    """

    key: str
    version: str | None
    binding: bool = True
    touched: bool = False

    def differs(self, rows: Rows) -> bool:
        """Tell whether it is no longer so."""
        return self.version != (rows[self.key].version if self.key in rows else None)

    def observe(self, rows: Rows) -> None:
        """Look whether somebody changes it."""
        self.touched = self.touched or self.differs(rows)


@dataclass
class QueryRead:
    """That a query found records at versions.

    A change of what it found makes the commit fail. A change of what it would have found without limit and
    without the transaction's own writes may do so: how far a backend looks to fill a page is its own business.
    """

    query: Query
    own: Mapping[str, Stored | None]
    found: Found
    whole: Found
    binding: bool = True
    touched: bool = False

    def differs(self, rows: Rows) -> bool:
        """Tell whether it would find something else."""
        return find(merged(rows, self.own), self.query)[: self.query.limit] != self.found

    def observe(self, rows: Rows) -> None:
        """Look whether somebody changes it."""
        self.touched = self.touched or find(rows, self.query) != self.whole


def merged(rows: Rows, own: Mapping[str, Stored | None]) -> dict[str, Stored]:
    """Return records with a transaction's own writes among them."""
    both = {**rows, **own}
    return {key: row for key, row in both.items() if row is not None}


def find(rows: Rows, query: Query) -> Found:
    """Run a query, without its limit."""
    keys = select(rows.values(), query.where, query.order.field, descending=query.order.descending)
    return [(key, rows[key].version) for key in keys]


@dataclass
class Open:
    """A transaction that runs, and what the model knows of it.

    Attributes:
        manager: What it was made by.
        tx: The transaction.
        seen: What it read of each record, so that it reads the same again.
        own: What it wrote; ``None`` for what it deleted.
        reads: What its commit depends on.
        worlds: What everybody else saw at each moment since it began, the newest last.
        vague: Whether it may have read more than it told of.
    """

    manager: AbstractAsyncContextManager[RecordTransaction]
    tx: RecordTransaction
    seen: dict[str, Stored | None] = field(default_factory=dict)
    own: dict[str, Stored | None] = field(default_factory=dict)
    reads: list[KeyRead | QueryRead] = field(default_factory=list)
    worlds: list[Rows] = field(default_factory=list)
    vague: bool = False

    @property
    def clean(self) -> bool:
        """Whether nobody has changed anything that it read."""
        return not any(read.touched for read in self.reads)

    def observe(self, rows: Rows) -> None:
        """Look at what everybody else sees now."""
        self.worlds.append(dict(rows))
        for read in self.reads:
            read.observe(rows)

    def doomed(self) -> bool:
        """Tell whether it must not commit.

        What it writes belongs to the moment of the commit, and so does what it read. If it writes nothing, all
        that it read has to belong to one moment.
        """
        worlds = self.worlds[-1:] if self.own else self.worlds
        return all(any(read.binding and read.differs(rows) for read in self.reads) for rows in worlds)
