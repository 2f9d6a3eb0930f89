"""What goes over the wire: frames of JSON, in which everything that JSON has no word for wears a tag.

A frame is its length in four bytes and then ASCII. An object of JSON has exactly one member: a tag, and what it
tags. Only the tags below are known, so nothing that arrives can name another class.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from enum import Enum
from typing import Any, Final

from daystore import errors
from daystore.abc import (
    Aggregate,
    Aggregation,
    And,
    Check,
    CheckQuery,
    Compare,
    Delete,
    Explanation,
    Function,
    GroupRow,
    Not,
    Op,
    Or,
    Order,
    Outcome,
    Page,
    Put,
    Query,
    Record,
    WriteBatch,
    from_instant,
    to_instant,
)
from daystore.abc.record import Expect, Keep
from daystore.errors import DaystoreError
from daystore_compliance.wire.journal import Change

__all__ = ["MAX_FRAME", "ProtocolError", "decode", "encode", "read_frame", "write_frame"]

MAX_FRAME: Final = 256 * 1024 * 1024

_ENUMS: Final[tuple[type[Enum], ...]] = (Expect, Function, Keep, Op)
_CLASSES: Final[tuple[type[Any], ...]] = (
    Aggregate,
    Aggregation,
    And,
    Check,
    CheckQuery,
    Compare,
    Delete,
    Explanation,
    GroupRow,
    Not,
    Or,
    Order,
    Page,
    Put,
    Query,
    Record,
    WriteBatch,
)
_TUPLES: Final[tuple[type[Any], ...]] = (Change, Outcome)
_MEMBERS: Final = {kind: tuple(field.name for field in fields(kind)) for kind in _CLASSES}


class ProtocolError(Exception):
    """What arrived is no frame of this protocol."""


# --- Frames ------------------------------------------------------------------------------------------------


async def read_frame(reader: asyncio.StreamReader) -> Any:
    """Read one frame.

    Raises:
        ProtocolError: If it is none.
        EOFError: If the connection ends first.
        OSError: If the connection fails.
    """
    size = int.from_bytes(await reader.readexactly(4))
    if size > MAX_FRAME:
        raise ProtocolError(f"a frame of {size} bytes is too large")
    text = await reader.readexactly(size)
    try:
        return decode(json.loads(text))
    except (ValueError, TypeError, KeyError, LookupError, RecursionError) as error:
        raise ProtocolError("a frame that cannot be read") from error


def write_frame(writer: asyncio.StreamWriter, content: Any) -> None:
    """Write one frame; `StreamWriter.drain` waits until there is room for more."""
    text = json.dumps(encode(content), separators=(",", ":")).encode("ascii")
    writer.write(len(text).to_bytes(4) + text)


# --- Values ------------------------------------------------------------------------------------------------


def encode(value: Any) -> Any:
    """Turn a value into what JSON can say, type and all.

    Raises:
        TypeError: If there is no tag for its type.
    """
    kind = type(value)
    if value is None or kind in (str, int, float, bool):
        return value
    if kind is list:
        return [encode(item) for item in value]
    if kind is bytes:
        return {"bytes": base64.b64encode(value).decode()}
    if kind in _TUPLES:
        return {kind.__name__: [encode(item) for item in value]}
    if kind is tuple:
        return {"tuple": [encode(item) for item in value]}
    if isinstance(value, Mapping):
        return {"map": [[encode(key), encode(item)] for key, item in value.items()]}
    if isinstance(value, datetime):
        return {"instant": to_instant(value)}
    if kind in _ENUMS:
        return {kind.__name__: value.value}
    if kind in _MEMBERS:
        return {kind.__name__: [encode(getattr(value, name)) for name in _MEMBERS[kind]]}
    if isinstance(value, DaystoreError):
        return {"error": [kind.__name__, encode(_attributes(value))]}
    raise TypeError(f"no tag for {kind.__name__}")


def decode(value: Any) -> Any:
    """Turn back what `encode` made.

    Raises:
        KeyError: If a tag is unknown.
        ValueError: If what it tags does not fit; also `TypeError`.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, dict):
        ((tag, content),) = value.items()
        return _DECODERS[tag](content)
    return value


def _attributes(error: DaystoreError) -> dict[str, Any]:
    """Return the arguments that make an error again. A cause stays where it is."""
    known = ("message", "backend", "operation", "key", "collection", "current", "index")
    return {name: vars(error)[name] for name in known if vars(error).get(name) is not None}


def _error(content: Any) -> DaystoreError:
    name, attributes = content
    if name not in errors.__all__:
        raise KeyError(name)
    made: DaystoreError = getattr(errors, name)(**decode(attributes))
    return made


def _maker(kind: type[Any]) -> Callable[[Any], Any]:
    return lambda content: kind(*(decode(item) for item in content))


_DECODERS: Final[dict[str, Callable[[Any], Any]]] = {
    "bytes": lambda content: base64.b64decode(content, validate=True),
    "error": _error,
    "instant": from_instant,
    "map": lambda content: {decode(key): decode(item) for key, item in content},
    "tuple": lambda content: tuple(decode(item) for item in content),
    **{kind.__name__: kind for kind in _ENUMS},
    **{kind.__name__: _maker(kind) for kind in (*_CLASSES, *_TUPLES)},
}
