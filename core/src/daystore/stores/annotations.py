"""What the annotations of a type say about the fields in it: what an index on one of them holds."""

from __future__ import annotations

import sys
import typing
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin

from daystore.query.fields import FieldType

__all__ = ["field_names", "field_type", "follow", "is_typed_dict"]

_SCALARS = (bool, int, float, str, datetime)


def is_typed_dict(kind: object) -> bool:
    """Tell whether a type is a ``TypedDict``."""
    return isinstance(kind, type) and issubclass(kind, dict) and hasattr(kind, "__total__")


def annotations_of(kind: Any) -> Mapping[str, Any] | None:
    """Return what a model, dataclass or ``TypedDict`` declares, by name; ``None`` if it declares nothing."""
    origin = get_origin(kind) or kind
    if hasattr(origin, "__pydantic_fields__") and hasattr(origin, "model_fields"):
        return {name: info.annotation for name, info in origin.model_fields.items()}
    if not is_dataclass(origin) and not is_typed_dict(origin):
        return None
    try:
        hints = typing.get_type_hints(origin, include_extras=True)
    except NameError:  # they name what only the function that holds the class can see
        hints = {}
    names = [field.name for field in fields(origin)] if is_dataclass(origin) else origin.__annotations__
    return {name: hints.get(name, Any) for name in names}


def field_names(kind: Any) -> set[str] | None:
    """Return the names of the fields that values of a type have; ``None`` if it takes any."""
    declared = annotations_of(kind)
    if declared is None or getattr(kind, "model_config", {}).get("extra") == "allow":
        return None
    return set(declared)


def follow(kind: Any, path: tuple[str, ...]) -> Any:
    """Return the annotation at the end of a path of fields.

    Raises:
        LookupError: If the type says nothing about it.
    """
    for part in path:
        found = [
            declared[part] for option in _options(kind) if part in (declared := annotations_of(option) or {})
        ]
        if not found:
            raise LookupError(part)
        kind = found[0] if len(found) == 1 else Union[tuple(found)]  # noqa: UP007 - built at run time
    return kind


def field_type(annotation: Any) -> FieldType | None:
    """Return what an index holds whose values are annotated so; ``None`` if it cannot be indexed.

    Optional makes no difference; enums and literals count as the type of their values.
    """
    kinds = {_one_type(option) for option in _options(annotation)}
    return kinds.pop() if len(kinds) == 1 else None


def _options(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union other than ``None``, stripped of what only describes them."""
    annotation = _bare(annotation)
    if get_origin(annotation) in (Union, UnionType):
        for option in get_args(annotation):
            yield from _options(option)
    elif annotation is not NoneType and annotation is not None:
        yield annotation


def _bare(annotation: Any) -> Any:
    while True:
        if get_origin(annotation) in (Annotated, typing.Required, typing.NotRequired):
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif hasattr(annotation, "__value__"):  # an alias made by the statement `type`
            annotation = annotation.__value__
        else:
            return annotation


def _one_type(annotation: Any) -> FieldType | None:
    origin = get_origin(annotation)
    if origin is Literal:
        return _common({type(value) for value in get_args(annotation)})
    if origin is list:
        return list if field_type(get_args(annotation)[0]) is str else None
    if annotation in _SCALARS:
        return typing.cast("FieldType", annotation)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _common({type(member.value) for member in annotation})
    return datetime if annotation in _pydantic_datetimes() else None


def _common(kinds: set[type]) -> FieldType | None:
    kind = kinds.pop() if len(kinds) == 1 else None
    return kind if kind in _SCALARS else None


def _pydantic_datetimes() -> tuple[object, ...]:
    pydantic = sys.modules.get("pydantic")  # without it there is nothing annotated so
    if pydantic is None:
        return ()
    return (pydantic.AwareDatetime, pydantic.PastDatetime, pydantic.FutureDatetime)
