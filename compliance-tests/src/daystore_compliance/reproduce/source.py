"""Values of the contract as Python source, so that what was done can be done again by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final

from daystore.abc import ABSENT, ANY, KEEP

__all__ = ["source_of"]

_NAMES: Final = {ANY: "ANY", ABSENT: "ABSENT", KEEP: "KEEP"}
Rename = Callable[[str], str | None]


def source_of(value: Any, rename: Rename = lambda _: None, *, most: int | None = None) -> str:
    """Write a value as an expression that makes it again.

    Args:
        value: Plain values, and whatever an adapter takes and returns.
        rename: Gives a string, such as a version, that has another value in each run the name of a variable.
        most: Characters of one string or bytes, and items of one collection, after which it is cut, for people
            to read; ``None`` for all of it.
    """
    return _Writer(rename, most).write(value)


class _Writer:
    def __init__(self, rename: Rename, most: int | None) -> None:
        self._rename = rename
        self._most = most

    def write(self, value: Any) -> str:
        """Write any value."""
        if isinstance(value, Enum):
            return _NAMES.get(value, f"{type(value).__name__}.{value.name}")
        if type(value) is str:
            return self._rename(value) or self._text(value)
        if type(value) in (bytes, bytearray):
            return self._text(value)
        if isinstance(value, datetime):
            return f'datetime.fromisoformat("{value.isoformat()}")'
        if isinstance(value, BaseException):
            return type(value).__name__
        if is_dataclass(value) and not isinstance(value, type):
            return self._made(value)
        return self._container(value)

    def _container(self, value: Any) -> str:
        if isinstance(value, Mapping):
            pairs = [f"{self.write(key)}: {self.write(item)}" for key, item in value.items()]
            return f"{{{', '.join(self._cut(pairs))}}}"
        if isinstance(value, tuple) and hasattr(value, "_asdict"):
            parts = [f"{name}={self.write(item)}" for name, item in value._asdict().items()]
            return f"{type(value).__name__}({', '.join(parts)})"
        if type(value) in (list, tuple):
            items = self._cut([self.write(item) for item in value])
            if type(value) is list:
                return f"[{', '.join(items)}]"
            return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
        return repr(value)

    def _cut(self, items: list[str]) -> list[str]:
        if self._most is None or len(items) <= self._most:
            return items
        return [*items[: self._most], f"… {len(items) - self._most} more"]

    def _text(self, value: str | bytes | bytearray) -> str:
        if len(value) > 40 and len(set(value)) == 1:
            return f"{value[:1]!r} * {len(value)}"
        if self._most is not None and len(value) > self._most:
            return f"{value[: self._most]!r}… {len(value)} in all"
        if type(value) is str and value.isprintable():
            return json.dumps(value, ensure_ascii=False)
        return repr(value)

    def _made(self, value: Any) -> str:
        parts: list[str] = []
        for one in fields(value):
            if not one.init:
                continue
            found = getattr(value, one.name)
            if one.name != "version" and _is_default(one, found):
                continue
            positional = one.default is MISSING and one.default_factory is MISSING and len(parts) < 3
            written = self.write(found)
            parts.append(written if positional else f"{one.name}={written}")
        return f"{type(value).__name__}({', '.join(parts)})"


def _is_default(one: Any, found: Any) -> bool:
    if one.default is not MISSING:
        return bool(found is one.default or (type(found) is type(one.default) and found == one.default))
    return bool(one.default_factory is dict and found == {})
