"""Names: of collections, of the documents in them, and of their fields.

The order of a key's bytes has to be the order in which a server compares. MongoDB compares text as UTF-8, some
servers that speak its language as UTF-16; the two agree on characters below U+0100. So bytes are told as text with
one such character for each. A key or a string of ASCII looks as it is.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Final

__all__ = [
    "LAYOUT_NAME",
    "bytes_of",
    "collection_name",
    "field_name",
    "field_path",
    "namespace_prefix",
    "text_of",
]

LONGEST: Final = 100
"""Characters of a namespace in a name, before the rest of them becomes a digest."""
LAYOUT_NAME: Final = "_layout"
"""What no collection of a namespace is called: where its layout is noted."""

_FIELD: Final = re.compile(r"[.$\0%]")
_ESCAPED: Final = re.compile(r"%([0-9a-f]{2})")


def text_of(raw: bytes) -> str:
    """Return bytes as text that servers order as the bytes."""
    return raw.decode("latin-1")


def bytes_of(text: str) -> bytes:
    """Return what `text_of` was given."""
    return text.encode("latin-1")


def namespace_prefix(namespace: str) -> str:
    """Return what the names of all collections of a namespace begin with, and no others."""
    name = re.sub(rb"[^A-Za-z0-9_-]", lambda found: b"%%%02x" % found[0][0], namespace.encode()).decode()
    if len(name) > LONGEST:
        name = f"{name[:40]}%%{hashlib.sha256(namespace.encode()).hexdigest()[:40]}"
    return f"%{ord('s'):02x}ystem." if name == "system" else f"{name}."


def collection_name(namespace: str, collection: str) -> str:
    """Return the server's name of a collection."""
    return namespace_prefix(namespace) + collection


@lru_cache(maxsize=4096)
def field_path(name: str) -> str:
    """Return the name of a field as a part of a path."""
    return _FIELD.sub(lambda found: f"%{ord(found[0]):02x}", name)


def field_name(part: str) -> str:
    """Return what `field_path` was given."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), part) if "%" in part else part
