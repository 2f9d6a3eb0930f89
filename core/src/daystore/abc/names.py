"""The rules for keys, collections, namespaces and field names, checked before anything is sent."""

from __future__ import annotations

import re
from functools import lru_cache

from daystore.errors import InvalidKey

__all__ = [
    "DEFAULT_NAMESPACE",
    "MAX_FIELD_NAME_BYTES",
    "MAX_KEY_BYTES",
    "MAX_NAMESPACE_BYTES",
    "RESERVED_FIELDS",
    "check_collection",
    "check_field_name",
    "check_key",
    "check_namespace",
]

DEFAULT_NAMESPACE = "daystore"
MAX_KEY_BYTES = 256
MAX_NAMESPACE_BYTES = 128
MAX_FIELD_NAME_BYTES = 128

RESERVED_FIELDS = frozenset({"key", "created_at", "updated_at"})
"""Attributes of every record that can be queried without being indexed."""

_COLLECTION = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")


def _check_text(text: str, what: str, max_bytes: int) -> None:
    if type(text) is not str:
        raise TypeError(f"a {what} is a str, not {type(text).__name__}")
    if not text:
        raise InvalidKey(f"a {what} is not empty")
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        raise InvalidKey(f"a {what} has no lone surrogates") from None
    if size > max_bytes:
        raise InvalidKey(f"a {what} has at most {max_bytes} bytes in UTF-8, this one has {size}")


def check_key(key: str) -> None:
    """Accept any non-empty string of at most 256 bytes in UTF-8 without lone surrogates.

    Raises:
        TypeError: If `key` is not exactly a `str`.
        InvalidKey: If it is empty, too long or not Unicode.
    """
    if type(key) is str and key.isascii() and 0 < len(key) <= MAX_KEY_BYTES:
        return
    _check_text(key, "key", MAX_KEY_BYTES)


@lru_cache(maxsize=1024, typed=True)
def check_collection(collection: str) -> None:
    """Accept ``[a-z][a-z0-9_]{0,62}``.

    Raises:
        TypeError: If `collection` is not exactly a `str`.
        InvalidKey: If it does not match.
    """
    if type(collection) is not str:
        raise TypeError(f"a collection is a str, not {type(collection).__name__}")
    if not _COLLECTION.match(collection):
        raise InvalidKey("a collection is named by a lower-case letter and up to 62 of a-z, 0-9 and _")


def check_namespace(namespace: str) -> None:
    """Accept any non-empty string of at most 128 bytes in UTF-8 without lone surrogates.

    Raises:
        TypeError: If `namespace` is not exactly a `str`.
        InvalidKey: If it is empty, too long or not Unicode.
    """
    _check_text(namespace, "namespace", MAX_NAMESPACE_BYTES)


def check_field_name(name: str) -> None:
    """Accept any non-empty string of at most 128 bytes in UTF-8 without lone surrogates.

    Raises:
        TypeError: If `name` is not exactly a `str`.
        InvalidKey: If it is empty, too long or not Unicode.
    """
    _check_text(name, "field name", MAX_FIELD_NAME_BYTES)
