"""Transcript files: what lies on disk, as JSON values with their positions.

``.json`` holds one value and is read whole; ``.jsonl`` (or ``.ndjson``) holds one value a line and is read
line by line, so memory is bounded by the longest line. Each may be compressed: ``.json.gz``, ``.jsonl.gz``.
The parser is strict where a lenient one would change data without a word: repeated keys, NaN and numbers
beyond a float's range are refused, integers of any size are kept.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from daystore.errors import TranscriptError

__all__ = ["read_values"]

_LINES = (".jsonl", ".ndjson")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_GZIP_MAGIC = b"\x1f\x8b"


def read_values(path: Path) -> Iterator[tuple[str, object]]:
    """Read the JSON values of a file, with the position of each.

    Args:
        path: A regular file, named ``.json``, ``.jsonl`` or ``.ndjson``, with ``.gz`` if it is compressed.

    Yields:
        The position, such as ``"line 4"`` (empty for the one value of a ``.json`` file), and the value.

    Raises:
        TranscriptError: If the file cannot be read, is damaged, is empty or is not JSON.
    """
    suffix = _kind(path)
    found = False
    try:
        with _open(path) as file:
            for position, text in _lines(file, path) if suffix in _LINES else _whole(file, path):
                found = True
                yield position, _parse(text, path, position, suffix)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TranscriptError(path, "the compressed data are damaged or cut off") from error
    except OSError as error:
        raise TranscriptError(path, f"cannot be read: {error.strerror or error}") from error
    if not found:
        raise TranscriptError(path, "the file is empty")


def _kind(path: Path) -> str:
    """Tell a file's kind by its name, and refuse what is no file."""
    if not path.exists():
        raise TranscriptError(path, "there is no such file")
    if path.is_dir():
        raise TranscriptError(path, "this is a directory: name a file in it")
    if not path.is_file():
        raise TranscriptError(path, "this is no regular file, and an import reads its file twice")
    name = path.name.lower().removesuffix(".gz")
    for suffix in (".json", *_LINES):
        if name.endswith(suffix):
            return suffix
    raise TranscriptError(
        path, "the name does not say what is in it: expected .json, .jsonl or .ndjson, each perhaps with .gz"
    )


def _open(path: Path) -> IO[bytes]:
    """Open a file for reading what is in it, decompressed if its name says so."""
    compressed = path.name.lower().endswith(".gz")
    with path.open("rb") as file:
        start = file.read(len(_GZIP_MAGIC))
    if compressed and start and start != _GZIP_MAGIC:
        raise TranscriptError(path, "the name ends in .gz, but this is not a gzip file")
    if not compressed and start == _GZIP_MAGIC:
        raise TranscriptError(path, f"this is a gzip file: name it {path.name}.gz")
    return cast("IO[bytes]", gzip.open(path, "rb") if compressed and start else path.open("rb"))


def _whole(file: IO[bytes], path: Path) -> Iterator[tuple[str, str]]:
    text = _decode(file.read(), path, "")
    if text.strip():
        yield "", text


def _lines(file: IO[bytes], path: Path) -> Iterator[tuple[str, str]]:
    # Lines end at a line feed only: str.splitlines would also cut at U+2028, which JSON text may hold.
    for number, line in enumerate(file, 1):
        position = f"line {number}"
        text = _decode(line, path, position)
        if text.strip():
            yield position, text


def _decode(data: bytes, path: Path, position: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TranscriptError(
            path, f"not text in UTF-8: the byte at offset {error.start} cannot be decoded", position
        ) from error


def _parse(text: str, path: Path, position: str, suffix: str) -> object:
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite_float
        )
        if _SURROGATE.search(text):
            _check_unicode(value)
    except json.JSONDecodeError as error:
        raise TranscriptError(path, _not_json(error, position, suffix), position) from error
    except RecursionError as error:
        raise TranscriptError(path, "nested too deeply to be read", position) from error
    except ValueError as error:  # of the hooks below, and of an integer with thousands of digits
        raise TranscriptError(path, f"JSON that cannot be kept exactly: {error}", position) from error
    return value


def _not_json(error: json.JSONDecodeError, position: str, suffix: str) -> str:
    place = f"column {error.colno}" if position else f"line {error.lineno}, column {error.colno}"
    hint = ""
    if error.msg == "Extra data" and suffix == ".json":
        hint = "; if the file holds one run a line, name it .jsonl"
    elif suffix in _LINES and error.pos >= len(error.doc.rstrip()):
        hint = "; each line holds a whole run, and a file with line breaks inside a run is named .json"
    return f"not JSON: {error.msg} at {place}{hint}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is outside the range of a float")
    return number


def _check_unicode(value: object) -> None:
    """Refuse lone surrogates, which JSON can write and UTF-8 cannot."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("a string has half of a surrogate pair, which is not Unicode text") from None
