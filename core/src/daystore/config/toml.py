"""Reading TOML, with the line of every key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daystore.config.problems import KeyPath

__all__ = ["parse_toml"]


def parse_toml(text: str) -> tuple[dict[str, Any], dict[KeyPath, int]]:
    """Parse TOML.

    Returns:
        The tables, and the line on which each key stands, counted from 1. What stands inside a value (an
        inline table, an array) has the line where that value begins.

    Raises:
        tomllib.TOMLDecodeError: If it is not TOML.
    """
    import tomllib

    text = text.replace("\r\n", "\n")
    return tomllib.loads(text), _lines(text)


def _lines(text: str) -> dict[KeyPath, int]:
    """Find the lines by parsing each statement by itself: tomllib does not tell them.

    The text as a whole is TOML already, so the shortest run of lines that parses is one statement.
    """
    import tomllib

    lines: dict[KeyPath, int] = {}
    lengths: dict[KeyPath, int] = {}
    table: KeyPath = ()
    begin, pending = 1, ""
    for number, line in enumerate(text.split("\n"), start=1):
        pending = f"{pending}\n{line}" if pending else line
        try:
            parsed = tomllib.loads(pending)
        except tomllib.TOMLDecodeError:
            continue
        if pending.lstrip().startswith("["):
            table = _header(parsed, lengths)
            lines[table] = begin
        else:
            for key, value in parsed.items():
                _note(value, (*table, key), begin, lines)
        begin, pending = number + 1, ""
    return lines


def _header(parsed: Mapping[str, Any], lengths: dict[KeyPath, int]) -> KeyPath:
    """Return the path that a table's header opens; each ``[[header]]`` is the next item of its list."""
    path: KeyPath = ()
    node: Any = parsed
    while isinstance(node, dict) and node:
        key, node = next(iter(node.items()))
        path = (*path, key)
        if isinstance(node, list):
            lengths[path] = lengths.get(path, -1) + 1
        if path in lengths:
            path = (*path, lengths[path])
    return path


def _note(value: object, path: KeyPath, line: int, lines: dict[KeyPath, int]) -> None:
    """Note a key's line, and those of the tables that a dotted key opens on its way."""
    lines.setdefault(path, line)
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _note(inner, (*path, key), line, lines)
