"""Indexes: which parts of a value can be queried, and how they are taken out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias, get_origin

from daystore.abc.names import check_field_name
from daystore.abc.record import FieldValue
from daystore.errors import ConfigError, SerializationError
from daystore.query.fields import BUILT_IN, FieldType, type_name
from daystore.stores.annotations import field_type, follow

__all__ = ["Extractor", "Index", "Indexes", "extractor", "field_value", "resolve"]


@dataclass(frozen=True, slots=True)
class Index:
    """Part of a value that can be queried.

    Attributes:
        name: Its name in queries.
        type: ``str``, ``int``, ``float``, ``bool``, ``datetime`` or ``list[str]``. Not needed where the type
            of the store's values says it.
        path: Where it is in the value, ``"info.user"`` for a field of a field; a tuple of names if one of
            them has a dot in it. The name, unless given.
    """

    name: str
    type: Any = None
    path: str | tuple[str, ...] | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The path, as the names in it."""
        path = self.name if self.path is None else self.path
        return tuple(path.split(".")) if isinstance(path, str) else tuple(path)


Indexes: TypeAlias = Sequence[str | Index] | Mapping[str, Any]
"""Names, `Index` objects, or a mapping of names to types."""

Extractor: TypeAlias = Callable[[object], dict[str, FieldValue]]


def resolve(indexes: Indexes, value_type: Any) -> dict[str, tuple[tuple[str, ...], FieldType]]:
    """Find out what each index holds and where it is.

    Args:
        indexes: As given to a store.
        value_type: The type of the store's values; ``None`` for plain values.

    Returns:
        Path and type of each index, by its name.

    Raises:
        ConfigError: If an index has no type that can be indexed, a reserved name, or a name that is taken.
    """
    found: dict[str, tuple[tuple[str, ...], FieldType]] = {}
    for index in _listed(indexes):
        check_field_name(index.name)
        if index.name in BUILT_IN:
            raise ConfigError(
                f"{index.name!r} cannot be the name of an index: every record has its own "
                f"{index.name}, which can always be queried. To index that part of the value, "
                "name it otherwise: "
                f"Index('value_{index.name}', path={index.name!r})"
            )
        if index.name in found:
            raise ConfigError(f"the index {index.name!r} is declared twice")
        found[index.name] = (index.parts, _type_of(index, value_type))
    return found


def _listed(indexes: Indexes) -> Iterable[Index]:
    if isinstance(indexes, Mapping):
        return [Index(name, of_type) for name, of_type in indexes.items()]
    if isinstance(indexes, (str, Index)):
        raise ConfigError("indexes are a list of names or Index objects, or a mapping of names to types")
    return [index if isinstance(index, Index) else Index(index) for index in indexes]


def _type_of(index: Index, value_type: Any) -> FieldType:
    annotation = index.type
    if annotation is None:
        if value_type is None:
            raise ConfigError(
                f"the index {index.name!r} needs a type, because nothing else says what these values hold: "
                f"indexes={{{index.name!r}: str}}"
            )
        try:
            annotation = follow(value_type, index.parts)
        except LookupError:
            raise ConfigError(
                f"the index {index.name!r}: {_shown(value_type)} has no field {'.'.join(index.parts)!r}; "
                f"correct the name, or give the index a path and a type: Index({index.name!r}, str, path=…)"
            ) from None
    found = list if annotation is list else field_type(annotation)
    if found is None:
        raise ConfigError(
            f"the index {index.name!r} is a {_shown(annotation)}, which cannot be indexed: use str, int, float, "
            f"bool, datetime or list[str], or say which of them it is: Index({index.name!r}, str)"
        )
    return found


def _shown(annotation: Any) -> str:
    if get_origin(annotation) is None and isinstance(annotation, type):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def extractor(indexes: Mapping[str, tuple[tuple[str, ...], FieldType]]) -> Extractor:
    """Make the function that takes the fields of all indexes out of a plain value.

    It leaves out what is missing or ``None``, and raises `SerializationError`, which names the index and the
    types but never the value, if one is of another type than its index.
    """
    rules = [(name, path[0], path[1:], kind) for name, (path, kind) in indexes.items()]

    def extract(plain: object) -> dict[str, FieldValue]:
        found: dict[str, FieldValue] = {}
        if not isinstance(plain, Mapping):
            return found
        for name, first, rest, kind in rules:
            value: Any = plain.get(first)
            for part in rest:
                value = value.get(part) if isinstance(value, Mapping) else None
            if value is not None:
                as_it_is = kind is type(value) and kind in _AS_THEY_ARE
                found[name] = value if as_it_is else _indexed(name, value, kind)
        return found

    return extract


_AS_THEY_ARE = frozenset({str, int, bool, float, datetime})


def _indexed(name: str, value: Any, kind: FieldType) -> FieldValue:
    if kind is float and type(value) is int and _is_exact(value):
        return float(value)
    if kind is list and isinstance(value, (list, tuple)):
        for item in value:
            if type(item) is not str:
                raise SerializationError(
                    f"the index {name!r} is a list[str], and the list holds a {type(item).__name__}"
                )
        return tuple(value)
    raise SerializationError(
        f"the index {name!r} is of type {type_name(kind)}, and this value of type {type(value).__name__}"
    )


def _is_exact(number: int) -> bool:
    try:
        return float(number) == number
    except OverflowError:
        return False


def field_value(plain: object, path: str) -> FieldValue | None:
    """Return what is at a path of a plain value if it could be indexed, otherwise ``None``."""
    if isinstance(plain, Mapping) and path in plain:
        value: Any = plain[path]
    else:
        value = plain
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    if type(value) in _AS_THEY_ARE:
        return value  # type: ignore[no-any-return]
    if isinstance(value, (list, tuple)) and all(type(item) is str for item in value):
        return tuple(value)
    return None
