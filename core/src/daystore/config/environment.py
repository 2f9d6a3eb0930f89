"""Settings in environment variables: ``DAYSTORE_STORES__CONTEXTS__BACKEND=redis``.

A variable's name is ``DAYSTORE_`` and the path of a key in upper case, its parts joined by two underscores.
Its value is taken as text, and a number where one is wanted; a list or a table is written as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from daystore.config.layers import Layer, Origin, Tree
from daystore.config.problems import KeyPath, Problem
from daystore.config.spelling import nearest

__all__ = ["PREFIX", "read_environment"]

PREFIX = "DAYSTORE_"
_SEPARATOR = "__"
_TABLES = ("BACKENDS", "STORES")
_SINGLE = ("DEFAULT", "COORDINATOR")


def read_environment(
    environ: Mapping[str, str], referred_to: frozenset[str] = frozenset()
) -> tuple[Layer, list[Problem]]:
    """Read the settings among the environment variables.

    Args:
        environ: The environment.
        referred_to: Variables that a file takes in by ``${…}``: those are not settings, whatever their name.

    Returns:
        What they say; and the variables that look like settings and match nothing.
    """
    layer = Layer()
    problems = []
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in referred_to:
            path, message = _path(name)
            if path:
                message = _put(layer, path, name, environ[name])
            if message:
                problems.append(Problem((name,), message))
    return layer, problems


def _path(name: str) -> tuple[KeyPath | None, str | None]:
    """Return the path that a variable sets, or what is wrong if it only looks like a setting, or neither."""
    rest = name.removeprefix(PREFIX)
    if rest in _SINGLE:
        return (rest.lower(),), None
    table, separator, below = rest.partition(_SEPARATOR)
    if not separator:
        meant = next((known for known in _TABLES if f"{rest}_".startswith(f"{known}_")), None)
        form = f"{PREFIX}{meant}{_SEPARATOR}NAME{_SEPARATOR}KEY"
        return None, meant and f"matches no setting; two underscores part the levels: {form}"
    if table not in _TABLES:
        match = nearest(table, _TABLES)
        hint = f"did you mean {PREFIX}{match}{_SEPARATOR}{below}?"
        known = " or ".join(f"{PREFIX}{known}{_SEPARATOR}" for known in _TABLES)
        return None, f"matches no setting; {hint if match else f'settings begin with {known}'}"
    path = (table.lower(), *below.lower().split(_SEPARATOR))
    return (path, None) if all(path) else (None, "matches no setting: a part of its name is empty")


def _put(layer: Layer, path: KeyPath, name: str, text: str) -> str | None:
    """Put a value into the layer, or return what is wrong with it."""
    table: Tree = layer.tree
    for key in path[:-1]:
        inner = table.setdefault(str(key), {})
        if not isinstance(inner, dict):
            return "contradicts another variable, which sets the whole of what this is a part of"
        table = inner
    last = str(path[-1])
    if last in table:
        return "contradicts another variable, which sets the whole of what this is a part of"
    try:
        # An option, such as a password, may well begin with a bracket and be no JSON.
        table[last] = _value(text, lenient="options" in path[2:-1])
    except ValueError:
        return "begins like a list or a table, but is not JSON"
    layer.origins[path] = Origin("environment", name)
    return None


def _value(text: str, *, lenient: bool) -> object:
    if text[:1] not in {"[", "{"}:
        return text
    try:
        return json.loads(text)
    except ValueError:
        if lenient:
            return text
        raise
