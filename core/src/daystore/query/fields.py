"""The fields that the queries of one store may name, and of which type each of them is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from difflib import get_close_matches
from typing import Final, TypeAlias

from daystore.errors import SchemaError

__all__ = ["BUILT_IN", "FieldType", "Fields", "type_name", "unknown"]

FieldType: TypeAlias = type
"""``str``, ``int``, ``float``, ``bool``, ``datetime``, or ``list`` for a list of `str`."""

BUILT_IN: Final[Mapping[str, FieldType]] = {"key": str, "created_at": datetime, "updated_at": datetime}
"""What every record has, indexed or not."""


class Fields:
    """The indexed fields of one store, and what every record has.

    Args:
        store: Name of the store, for messages.
        indexed: The type of each index, by name.
    """

    __slots__ = ("_store", "_types")

    def __init__(self, store: str, indexed: Mapping[str, FieldType]) -> None:
        self._store = store
        self._types = {**BUILT_IN, **indexed}

    def __contains__(self, name: object) -> bool:
        return name in self._types

    def type_of(self, name: str, *, allow_scan: bool = False) -> FieldType | None:
        """Return the type of a field; ``None`` for one that only a scan can look at.

        Raises:
            SchemaError: If the field is not indexed and scanning is not allowed; the message tells how to
                index it.
            TypeError: If the name is not a `str`.
        """
        if not isinstance(name, str):
            raise TypeError(f"the name of a field is a str, not {type(name).__name__}")
        found = self._types.get(name)
        if found is None and not allow_scan:
            raise SchemaError(
                f"the store {self._store!r} does not index the field {name!r}"
                f"{unknown(name, self._types)}. Declare it with indexes=[…, {name!r}] (for plain values "
                f"with its type, indexes={{{name!r}: str}}), or pass allow_scan=True to look at every record"
            )
        return found


def type_name(field_type: FieldType) -> str:
    """Return how people write a field's type."""
    return "list[str]" if field_type is list else field_type.__name__


def unknown(word: str, known: Iterable[str]) -> str:
    """Return how a message goes on after naming a word that is not among the known ones."""
    names = sorted(known)
    match = get_close_matches(word, names, n=1)
    return f"; did you mean {match[0]!r}?" if match else f" (known: {', '.join(names)})"
