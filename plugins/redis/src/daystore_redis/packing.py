"""Commands as bytes, and MessagePack, as much of it as scripts are told things in."""

from __future__ import annotations

import struct
from typing import Final

from hiredis import pack_command

__all__ = ["command", "pack"]

_RAW: Final = ((31, 0xA0, ""), (0xFF, 0xD9, ">BB"), (0xFFFF, 0xDA, ">BH"), (0xFFFFFFFF, 0xDB, ">BI"))


def command(*words: bytes | str) -> bytes:
    """Pack a command and its arguments."""
    packed: bytes = pack_command(words)  # type: ignore[arg-type]  # the stubs know of one word
    return packed


def pack(value: object) -> bytes:
    """Pack lists, bytes, integers and truth.

    Raises:
        TypeError: If it, or a part of it, is of another type.
    """
    parts: list[bytes] = []
    _add(value, parts)
    return b"".join(parts)


def _add(value: object, parts: list[bytes]) -> None:
    if isinstance(value, bytes):
        size = len(value)
        for most, tag, form in _RAW:
            if size <= most:
                parts += (struct.pack(form, tag, size) if form else bytes((tag | size,)), value)
                return
    elif isinstance(value, bool):
        parts.append(b"\xc3" if value else b"\xc2")
    elif isinstance(value, int):
        parts.append(bytes((value,)) if 0 <= value < 128 else struct.pack(">Bq", 0xD3, value))
    elif isinstance(value, list | tuple):
        size = len(value)
        parts.append(bytes((0x90 | size,)) if size < 16 else struct.pack(">BI", 0xDD, size))
        for item in value:
            _add(item, parts)
    else:
        raise TypeError(f"a {type(value).__name__} cannot be packed")
