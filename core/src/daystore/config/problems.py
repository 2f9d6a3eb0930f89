"""Mistakes in a configuration, as data: where, and what is wrong. Collected first, raised together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daystore.config.secrets import mask_text
from daystore.config.spelling import did_you_mean

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = ["KeyPath", "Problem", "format_path", "pydantic_problems"]

KeyPath = tuple[str | int, ...]
"""Keys of tables and positions in lists, from the root."""

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake.

    Attributes:
        path: Where it is.
        message: What is wrong and, where that can be told, what would be right. Free of values.
    """

    path: KeyPath
    message: str

    def __str__(self) -> str:
        return f"{format_path(self.path)}: {self.message}"


def format_path(path: KeyPath) -> str:
    """Return a path as people write it: ``stores.contexts.middleware[0].level``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE.match(part) else f'"{part}"')
    return text


def pydantic_problems(error: ValidationError, known: Callable[[KeyPath], Iterable[str]]) -> list[Problem]:
    """Return the mistakes that pydantic found, without the values that it found them in.

    Args:
        error: What the validation raised.
        known: Given the path of a table, the keys that it can have.
    """
    problems = []
    for found in error.errors(include_url=False, include_input=False, include_context=False):
        path = tuple(found["loc"])
        if found["type"] == "extra_forbidden":
            message = "unknown key" + did_you_mean(str(path[-1]), known(path[:-1]))
        elif found["type"] == "missing":
            message = "has to be given"
        elif found["type"] in {"list_type", "tuple_type"}:
            message = "should be a list"
        elif found["type"] in {"dict_type", "mapping_type", "model_type", "model_attributes_type"}:
            message = "should be a table"
        else:
            text = found["msg"].removeprefix("Value error, ").removeprefix("Input ")
            message = mask_text(text[:1].lower() + text[1:])
        problems.append(Problem(path, message))
    return problems
