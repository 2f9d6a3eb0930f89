"""The numbered names: collections, their fields, and shapes.

A shape is the set of fields that a record has. It is kept as numbers: twice the number of a field, and one more
if the field is a list there.

Each thread has its own catalogue; the connections of an event loop share what they know. Names are added and never
taken away: what was read from committed data stays right, and what a transaction added itself is forgotten with
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING

import orjson

from daystore.abc import FieldValue

if TYPE_CHECKING:
    from daystore_sql.session import Session

__all__ = ["Catalog", "CollectionNames", "Known", "KnownCollection"]


@dataclass(slots=True)
class KnownCollection:
    """What is known of one collection.

    Attributes:
        scope: Its number.
        fields: Numbers of its fields by name.
        numbers: Numbers of its shapes, by the names of the fields and of the lists among them.
        shapes: All shapes: the numbers that each is kept as.
        last_shape: The highest number of a shape when they were read.
    """

    scope: int
    fields: dict[str, int] = field(default_factory=dict)
    numbers: dict[tuple[str | None, ...], int] = field(default_factory=dict)
    shapes: dict[int, frozenset[int]] = field(default_factory=dict)
    last_shape: int | None = None


@dataclass(slots=True)
class Known:
    """What is known of a namespace.

    Attributes:
        collections: By name.
        last_shape: The highest number of a shape of any collection, when somebody looked last.
    """

    collections: dict[str, KnownCollection] = field(default_factory=dict)
    last_shape: int | None = None


class Catalog:
    """The names that one session knows.

    Args:
        session: Where to look.
        namespace: The namespace that the adapter was opened in.
        known: What is known already.

    Attributes:
        namespace: The namespace.
    """

    def __init__(self, session: Session, namespace: str, known: Known) -> None:
        self._session = session
        self.namespace: bytes = namespace.encode()
        self._known = known
        self._collections: dict[str, CollectionNames] = {}

    def collection(self, name: str) -> CollectionNames | None:
        """Return the names of a collection; ``None`` if nothing was ever written to it."""
        known = self._collections.get(name)
        if known is not None:
            return known
        if name in self._known.collections:
            return self._names(name)
        found = self._session.execute(self._session.statements.find_scope, self._key(name)).fetchone()
        return None if found is None else self._remember(name, found[0])

    def added(self, name: str) -> CollectionNames:
        """Return the names of a collection, which is added if it is new. For writers."""
        known = self.collection(name)
        if known is not None:
            return known
        session = self._session
        session.execute(session.statements.insert_scope, self._key(name))
        (scope,) = session.execute(session.statements.find_scope, self._key(name)).fetchone()
        return self._remember(name, scope)

    def forget(self) -> None:
        """Forget everything, because what was added may have been rolled back."""
        self._collections.clear()
        self._known.collections.clear()

    def _key(self, name: str) -> tuple[bytes, bytes]:
        return self.namespace, name.encode()

    def _remember(self, name: str, scope: int) -> CollectionNames:
        self._known.collections.setdefault(name, KnownCollection(scope))  # others may have been faster
        return self._names(name)

    def _names(self, name: str) -> CollectionNames:
        names = self._collections[name] = CollectionNames(self._session, self._known.collections[name])
        return names


class CollectionNames:
    """The fields and shapes of one collection.

    Args:
        session: Where to look.
        known: What is known already.
    """

    def __init__(self, session: Session, known: KnownCollection) -> None:
        self._session = session
        self._known = known
        self.scope: int = known.scope
        self._fields = known.fields
        self._numbers = known.numbers

    # --- Fields ----------------------------------------------------------------------------------------------

    def field(self, name: str) -> int | None:
        """Return the number of a field; ``None`` if no record ever had it."""
        known = self._fields.get(name)
        if known is None:
            key = (self.scope, name.encode())
            found = self._session.execute(self._session.statements.find_name, key).fetchone()
            if found is None:
                return None
            known = self._fields[name] = found[0]
        return known

    def name_of(self, field: int) -> str:
        """Return the name of a field that was asked for before."""
        return next(name for name, number in self._fields.items() if number == field)

    def added_field(self, name: str) -> int:
        """Return the number of a field, which is added if it is new. For writers."""
        known = self.field(name)
        if known is None:
            session, key = self._session, (self.scope, name.encode())
            session.execute(session.statements.insert_name, key)
            (known,) = session.execute(session.statements.find_name, key).fetchone()
            self._fields[name] = known
        return known

    # --- Shapes ----------------------------------------------------------------------------------------------

    def added_shape(self, fields: Mapping[str, FieldValue]) -> int:
        """Return the number of the shape of some fields, which is added if it is new. For writers."""
        lists = [name for name, value in fields.items() if type(value) is tuple]
        known = self._numbers.get(key := (*fields, None, *lists))
        if known is None:
            known = self._numbers[key] = self._added_shape(fields)
        return known

    def _added_shape(self, fields: Mapping[str, FieldValue]) -> int:
        numbered = (2 * self.added_field(name) + (type(value) is tuple) for name, value in fields.items())
        members = orjson.dumps(sorted(numbered))
        session, key = self._session, (self.scope, blake2b(members, digest_size=16).digest())
        found = session.execute(session.statements.find_shape, key).fetchone()
        if found is None:
            session.execute(session.statements.insert_shape, (*key, members))
            found = session.execute(session.statements.find_shape, key).fetchone()
        number: int = found[0]
        return number

    def shapes(self) -> frozenset[int]:
        """Return all shapes of the collection."""
        return frozenset(self._all_shapes())

    def shapes_with(self, field: int) -> frozenset[int]:
        """Return the shapes that have a field."""
        either = {2 * field, 2 * field + 1}
        return frozenset(n for n, members in self._all_shapes().items() if not either.isdisjoint(members))

    def shapes_without_scalar(self, field: int) -> frozenset[int]:
        """Return the shapes that do not have a field, or have a list there."""
        scalar = 2 * field
        return frozenset(n for n, members in self._all_shapes().items() if scalar not in members)

    def _all_shapes(self) -> dict[int, frozenset[int]]:
        session, known = self._session, self._known
        last = session.last_shape()
        if last != known.last_shape:
            rows = session.execute(session.statements.shapes, (self.scope,)).fetchall()
            known.shapes = {number: frozenset(orjson.loads(members)) for number, members in rows}
            known.last_shape = last
        return known.shapes
