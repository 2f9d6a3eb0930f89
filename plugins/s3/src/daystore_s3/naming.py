"""Names of objects: any bytes as text that every server keeps, in the same order, and back.

Bytes below ``0`` are written ``!`` and two digits, those from ``~`` on ``~`` and two digits; all else stands for
itself. So no text that a user chose has a slash, a dot or a control character in a name, and names order as bytes
do. A name is divided by slashes where it is longer than what a file may be called, since some servers keep objects
as files; it ends with ``!``, so that no object is called like the directory of another one.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

__all__ = ["CUT", "divided", "escape", "is_cut", "joined", "shortened", "unescape"]

SEGMENT: Final = 200
CUT: Final = "~~"
"""Stands, before a digest, for the rest of a text that is too long; no escaped text has it."""
_DIGEST: Final = 24
_NAMES: Final = tuple(
    f"!{byte:02x}" if byte < 0x30 else f"~{byte:02x}" if byte >= 0x7E else chr(byte) for byte in range(256)
)
_ESCAPED: Final = re.compile(rb"[!~]([0-9a-f]{2})")


def escape(raw: bytes) -> str:
    """Return bytes as text that orders as they do."""
    return "".join(map(_NAMES.__getitem__, raw))


def unescape(text: str) -> bytes:
    """Return the bytes that `escape` has made a text of.

    Raises:
        ValueError: If it is none of those texts.
    """
    raw = _ESCAPED.sub(lambda match: bytes((int(match[1], 16),)), text.encode("ascii"))
    if escape(raw) != text:
        raise ValueError("no escaped text")
    return raw


def shortened(text: str, length: int) -> str:
    """Return an escaped text, cut after so many characters; a digest keeps different ones apart."""
    if len(text) <= length:
        return text
    return text[:length] + CUT + hashlib.sha256(text.encode("ascii")).hexdigest()[:_DIGEST]


def is_cut(text: str) -> bool:
    """Tell whether a text was too long, so that it cannot be read back."""
    return CUT in text


def divided(text: str) -> str:
    """Return a text as a part of a path that is complete."""
    if len(text) <= SEGMENT:
        return text + "!"
    return "/".join(text[at : at + SEGMENT] for at in range(0, len(text), SEGMENT)) + "!"


def joined(path: str) -> str:
    """Return the text that `divided` has made a path of.

    Raises:
        ValueError: If it is no such path.
    """
    if not path.endswith("!"):
        raise ValueError("no complete path")
    return path[:-1].replace("/", "")
