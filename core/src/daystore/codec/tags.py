"""What JSON cannot say, as tagged lists: for every type how a value is written and how it is read.

JSON says ``None``, ``bool``, ``str``, ``list``, ``dict``, finite ``float``, and ``int`` up to 64 bits; these
stay as they are. Every other value becomes a list that begins with a tag, and so does a list of the user's
own that happens to begin like one. A dict is never touched, and nothing else is ever taken for a tag.

==================================  =======================================================================
value                               in JSON
==================================  =======================================================================
``int`` over 64 bits                ``["~ds:int", "-1f…"]``, hexadecimal
``bytes``                           ``["~ds:bytes", "AAH/"]``, base64
``datetime``, fixed offset          ``["~ds:datetime", "2026-10-25T02:30:00+02:00"]``
``datetime``, ``ZoneInfo``          ``["~ds:datetime", "2026-07-01T02:30:00+02:00", "Europe/Berlin"]``
``datetime`` with ``fold=1``        the same with ``1`` as fourth item; the third is ``null`` without a zone
``date``                            ``["~ds:date", "2026-10-25"]``
``timedelta``                       ``["~ds:timedelta", "-5400.000001"]``, in seconds
``Decimal``                         ``["~ds:decimal", "1.50"]``
``UUID``                            ``["~ds:uuid", "8d7a3f3e-9a6f-4c55-9c6b-0d2e5c1a7b11"]``
``set``, ``frozenset``              ``["~ds:set", 1, 2]``, ``["~ds:frozenset", 1, 2]``
a list that begins with ``"~ds:…``  ``["~ds:list", "~ds:…", …]``
==================================  =======================================================================

A datetime with a `ZoneInfo` comes back in that zone, with the same wall-clock time even if the rules of the
zone have changed since; its offset is written for other readers. Any other ``tzinfo`` comes back as the fixed
offset that it had. Of numbers, dates and UUIDs only the form that daystore writes is read: a payload that merely
resembles it is damaged.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from daystore.errors import CorruptRecord, UnknownCodec

__all__ = ["HOLDERS", "LIST", "MARK", "WRITERS", "NotStorableError", "check_text", "read_tagged"]

MARK = "~ds:"
"""How every tag begins."""

LIST = "~ds:list"

HOLDERS = frozenset({LIST, "~ds:set", "~ds:frozenset"})
"""The tags whose items are values, and may be tagged in turn."""

_MIN_INT, _MAX_INT = -(2**63), 2**64 - 1  # what orjson writes and reads exactly


class NotStorableError(ValueError):
    """Why a value cannot be written. Whoever catches it knows where the value is."""


# --- Text and numbers -------------------------------------------------------------------------------------


def check_text(text: str) -> str:
    """Return the text, if it can be encoded."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise NotStorableError("a str holds half of a surrogate pair, which is not text") from None
    return text


def _hex(value: int) -> str:
    return format(value, "x")  # decimal digits are limited to some thousands, and slow


def _write_int(value: int) -> object:
    return value if _MIN_INT <= value <= _MAX_INT else ["~ds:int", _hex(value)]


def _read_int(text: str) -> int:
    return int(text, 16)


def _write_float(value: float) -> float:
    if not isfinite(value):
        raise NotStorableError("a float is not finite: NaN and infinities are not stored")
    return value


def _decimal_text(value: Decimal) -> str:
    if not value.is_finite():
        raise NotStorableError("a Decimal is not finite: NaN and infinities are not stored")
    return str(value).upper()  # a context with capitals=0 writes a small e


def _base64(value: bytes) -> str:
    return binascii.b2a_base64(value, newline=False).decode()


def _read_bytes(text: str) -> bytes:
    return binascii.a2b_base64(text, strict_mode=True)


# --- Times ------------------------------------------------------------------------------------------------

_SECOND = timedelta(seconds=1)


def _seconds_text(value: timedelta) -> str:
    microseconds = value // timedelta(microseconds=1)
    digits = f"{abs(microseconds):07d}"
    return f"{'-' if microseconds < 0 else ''}{digits[:-6]}.{digits[-6:]}"


def _read_timedelta(text: str) -> timedelta:
    return timedelta(microseconds=int(text.replace(".", "")))


def _write_datetime(value: datetime) -> object:
    offset = value.utcoffset()
    if offset is None:
        raise NotStorableError("a datetime has no time zone: use datetime.now(UTC) or .replace(tzinfo=UTC)")
    if offset and abs(offset) < _SECOND:
        raise NotStorableError("a datetime has an offset of less than a second, which Python cannot parse")
    zone = value.tzinfo
    name = zone.key if type(zone) is ZoneInfo else None
    if type(zone) is not timezone:
        back = timezone(offset) if name is None else _find_zone(name)
        if back is not zone and value.replace(tzinfo=back) != value:
            raise NotStorableError("a datetime lies where its zone changes the clock: use ZoneInfo or UTC")
    item: list[object] = ["~ds:datetime", value.isoformat()]
    if name is not None or value.fold:
        item.append(name)
    if value.fold:
        item.append(value.fold)
    return item


def _find_zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        raise NotStorableError("a datetime has a ZoneInfo that its own key does not find") from None


def _read_datetime(text: str, name: str | None = None, fold: int = 0) -> datetime:
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError
    if name is None and fold == 0:
        return value
    return value.replace(tzinfo=value.tzinfo if name is None else ZoneInfo(name), fold=fold)


# --- Sets -------------------------------------------------------------------------------------------------


def _read_set(*items: Any) -> set[Any]:
    found = set(items)
    if len(found) != len(items):
        raise ValueError
    return found


# --- All of them ------------------------------------------------------------------------------------------


def _writer(tag: str, write: Callable[[Any], str]) -> Callable[[Any], object]:
    return lambda value: [tag, write(value)]


def _reader(read: Callable[[str], Any], write: Callable[[Any], str]) -> Callable[[str], object]:
    """Accept only what would be written again: the parsers of the standard library accept much more."""

    def read_exactly(text: str) -> object:
        value = read(text)
        if write(value) != text:
            raise ValueError
        return value

    return read_exactly


WRITERS: dict[type, Callable[[Any], object]] = {
    str: check_text,
    int: _write_int,
    float: _write_float,
    bytes: _writer("~ds:bytes", _base64),
    datetime: _write_datetime,
    date: _writer("~ds:date", date.isoformat),
    timedelta: _writer("~ds:timedelta", _seconds_text),
    Decimal: _writer("~ds:decimal", _decimal_text),
    UUID: _writer("~ds:uuid", str),
}
"""By exact type, what turns a value without items into what JSON can say; raises `NotStorableError`."""

_READERS: dict[str, Callable[..., object]] = {
    "~ds:int": _reader(_read_int, _hex),
    "~ds:bytes": _read_bytes,
    "~ds:datetime": _read_datetime,
    "~ds:date": _reader(date.fromisoformat, date.isoformat),
    "~ds:timedelta": _reader(_read_timedelta, _seconds_text),
    "~ds:decimal": _reader(Decimal, _decimal_text),
    "~ds:uuid": _reader(UUID, str),
    "~ds:set": _read_set,
    "~ds:frozenset": lambda *items: frozenset(_read_set(*items)),
    LIST: lambda *items: list(items),
}


def read_tagged(item: list[Any]) -> object:
    """Return the value of a tagged list whose items have been read already.

    Raises:
        CorruptRecord: If the tag is not known, or does not fit what follows it.
        UnknownCodec: If the value needs a time zone that is not installed.
    """
    read = _READERS.get(item[0])
    if read is None:
        raise CorruptRecord("the value carries a tag that this version of daystore does not know")
    try:
        return read(*item[1:])
    except ZoneInfoNotFoundError:
        raise UnknownCodec(
            "the value is a datetime in a time zone that is not known here: install or update tzdata",
            codec="tzdata",
        ) from None
    except (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError):
        raise CorruptRecord(f"the value holds a damaged {item[0].removeprefix(MARK)}") from None
