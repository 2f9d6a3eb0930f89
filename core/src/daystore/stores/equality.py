"""Whether a value came back as it was: equal, and of the same types all the way down."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any, TypeAlias

__all__ = ["difference"]

_Found: TypeAlias = tuple[str, str] | None
"""Where the difference is, as a path without keys, and what it is; ``None`` if there is none."""

_UNEQUAL = ("", "would come back unequal")
_BESIDE_FIELDS = {"__pydantic_extra__": "extra fields", "__pydantic_private__": "private attributes"}


def difference(stored: object, restored: object) -> str | None:
    """Return where a value differs from what came back of it, in words without any data; ``None`` if nowhere.

    A `tuple` that came back as a `list` is no difference.
    """
    found = _find(stored, restored)
    return None if found is None else f"{found[0] or 'the value'} {found[1]}"


def _find(a: Any, b: Any) -> _Found:
    kind = type(a)
    if kind is str or kind is int:
        return None if kind is type(b) and a == b else _unequal(a, b)
    if kind is dict and type(b) is dict:
        return _in_mappings(a, b)
    if isinstance(a, (list, tuple)) and (kind is type(b) or (kind is tuple and type(b) is list)):
        return _in_sequences(a, b)
    if kind is type(b):
        if is_dataclass(kind):
            return _in_attributes(a, b, [field.name for field in fields(a) if field.compare])
        if hasattr(kind, "__pydantic_fields__"):
            return _in_attributes(a, b, kind.__pydantic_fields__) or _beside_fields(a, b)
    return _unequal(a, b)


def _unequal(a: Any, b: Any) -> _Found:
    """Compare two values without parts; ``==`` alone would be too generous."""
    if type(a) is not type(b):
        return "", f"is a {type(a).__name__} and would come back as a {type(b).__name__}"
    if isinstance(a, (set, frozenset)):
        same = {(type(item), item) for item in a} == {(type(item), item) for item in b}
    elif isinstance(a, float):
        same = a == b and math.copysign(1, a) == math.copysign(1, b)
    else:
        same = bool(a == b)
    return None if same else _UNEQUAL


def _in_sequences(a: Any, b: Any) -> _Found:
    if len(a) != len(b):
        return "", "would come back with another length"
    for x, y in zip(a, b, strict=True):
        if found := _find(x, y):
            return f"[]{found[0]}", found[1]
    return None


def _in_mappings(a: dict[Any, Any], b: dict[Any, Any]) -> _Found:
    if a.keys() != b.keys() or {type(key) for key in a} != {type(key) for key in b}:
        return "", "would come back with other keys"
    for key, value in a.items():
        if found := _find(value, b[key]):
            return f"{{}}{found[0]}", found[1]
    return None


def _in_attributes(a: Any, b: Any, names: Iterable[str]) -> _Found:
    for name in names:
        if found := _find(getattr(a, name), getattr(b, name)):
            return f".{name}{found[0]}", found[1]
    return None


def _beside_fields(a: Any, b: Any) -> _Found:
    for part, what in _BESIDE_FIELDS.items():
        if _find(getattr(a, part), getattr(b, part)):
            return "", f"has {what} that would not come back as they are"
    return None
