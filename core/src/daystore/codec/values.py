"""The way of a whole value into what JSON can say, and back: the items of containers, how deep, and what not.

Neither direction recurses, so how deep a value may be does not depend on how deep its caller is already.
See `daystore.codec.tags` for the form of single values.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import time
from enum import Enum
from types import NoneType
from typing import Any, NoReturn, TypeAlias

from daystore.codec.tags import HOLDERS, LIST, MARK, WRITERS, NotStorableError, check_text, read_tagged
from daystore.errors import SerializationError

__all__ = ["MAX_DEPTH", "from_plain", "to_plain"]

MAX_DEPTH = 254
"""How many containers may lie in one another, as many as orjson writes. A tag counts as a container."""

_Box: TypeAlias = list[Any] | dict[str, Any]
_Place: TypeAlias = "tuple[_Place | None, Any, Any, int]"
"""Where an item is: the place of its box, the box, the index or key in it, and how many boxes that makes."""


def to_plain(value: object, *, lax: bool = False) -> object:
    """Turn a value into what JSON can say. The value is left alone: what must change is copied.

    Args:
        value: Any value of the contract.
        lax: Do not look at what orjson refuses by itself: dict keys that are no str, text that is none, and
            integers over 64 bits. Much faster; when orjson does refuse, try again without it.

    Returns:
        An equal value, or one that `from_plain` turns into an equal value.

    Raises:
        SerializationError: If the value, or something in it, would not come back equal and of the same type.
            The message tells where by position, and quotes nothing.
    """
    plain_kinds, copies = (_LAX_KINDS, _LAX_COPIES) if lax else (_PLAIN_KINDS, _COPIES)
    top: list[Any] = [value]
    inside: _Place | None = None
    box: Any = top
    at: Any = 0
    depth = 1
    pending: list[_Place] = []
    try:
        while True:
            for at, item in box.items() if type(box) is dict else enumerate(box):
                kind = type(item)
                if kind in plain_kinds:
                    continue
                if kind in copies:
                    pending.append((inside, box, at, depth))
                    continue
                plain = WRITERS.get(kind, _refuse)(item)
                if plain is not item:
                    _check_depth(depth)
                    box[at] = plain
            if not pending:
                return top[0]
            place = pending.pop()
            inside, box, at, depth = place
            _check_depth(depth)
            # Copied in its turn only: a list that holds itself many times must meet the limit, not fill memory.
            source = box[at]
            copy = box[at] = copies[type(source)](source)
            inside, box, depth = place, copy, depth + 1
    except NotStorableError as reason:
        raise _error(reason, (inside, box, at, depth)) from None


def from_plain(plain: object) -> object:
    """Turn what `to_plain` made into the value again, in place.

    Args:
        plain: Parsed JSON that nobody else holds.

    Returns:
        The value.

    Raises:
        CorruptRecord: If something carries a tag that is not known, or that does not fit what follows it.
    """
    top: list[Any] = [plain]
    pending: list[Any] = [top]
    holders: list[tuple[Any, Any]] = []  # where tags are whose items may be tagged in turn
    while pending:
        box = pending.pop()
        for at, item in box.items() if type(box) is dict else enumerate(box):
            kind = type(item)
            if kind is dict:
                pending.append(item)
            elif kind is list and item:
                tag = item[0]
                if type(tag) is not str or not tag.startswith(MARK):
                    pending.append(item)
                elif tag in HOLDERS:
                    holders.append((box, at))
                    pending.append(item)
                else:
                    box[at] = read_tagged(item)
    for box, at in reversed(holders):  # each was noted before those in it
        box[at] = read_tagged(box[at])
    return top[0]


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise NotStorableError(f"it is nested deeper than {MAX_DEPTH} levels, or holds itself")


# --- Containers -------------------------------------------------------------------------------------------


def _copy_dict(source: dict[Any, Any]) -> _Box:
    for key in source:
        if type(key) is not str:
            raise NotStorableError(f"a dict has a key of type {type(key).__name__}: keys are plain str")
        check_text(key)
    return source.copy()


def _copy_list(source: list[Any] | tuple[Any, ...]) -> _Box:
    if source and type(source[0]) is str and source[0].startswith(MARK):
        return [LIST, *source]
    return list(source)


def _copy_set(source: set[Any] | frozenset[Any]) -> _Box:
    if tuple in map(type, source):
        raise NotStorableError("a set holds a tuple; a tuple comes back as a list, which no set can hold")
    return [f"{MARK}{type(source).__name__}", *source]


_PLAIN_KINDS = frozenset({NoneType, bool})
_LAX_KINDS = frozenset({NoneType, bool, str, int})
_COPIES: dict[type, Callable[[Any], _Box]] = {
    dict: _copy_dict,
    list: _copy_list,
    tuple: _copy_list,
    set: _copy_set,
    frozenset: _copy_set,
}
_LAX_COPIES: dict[type, Callable[[Any], _Box]] = {**_COPIES, dict: dict.copy}


# --- What is refused --------------------------------------------------------------------------------------


def _refuse(item: object) -> NoReturn:
    name = type(item).__name__
    if isinstance(item, Enum):
        raise NotStorableError(
            f"a member of the enum {name}: use a typed store, whose type declares it, or store its value"
        )
    if isinstance(item, time):
        raise NotStorableError("a time without a date: store it as text, or use a datetime")
    if isinstance(item, (bytearray, memoryview)):
        raise NotStorableError(f"a {name} would come back as bytes: store bytes(…)")
    for base in (*_COPIES, *WRITERS):
        if isinstance(item, base):
            raise NotStorableError(
                f"an instance of {name} would come back as a mere {base.__name__}: use a typed store, whose "
                f"type declares it, or store a plain {base.__name__}"
            )
    raise NotStorableError(
        f"an object of type {name}: use a typed store, whose type is a dataclass or a pydantic model, or "
        "store plain values"
    )


def _error(reason: NotStorableError, place: _Place) -> SerializationError:
    steps: list[str] = []
    parent, box, at, _ = place
    while parent is not None:
        steps.append(_step(box, at))
        parent, box, at, _ = parent
    steps.reverse()
    if len(steps) > 8:
        steps[4:-4] = ["…"]
    where = f" (at {', '.join(steps)}; counted from 0)" if steps else ""
    return SerializationError(f"the value cannot be stored{where}: {reason}")


def _step(box: Any, at: Any) -> str:
    """Name a place in a converted box, whose own tag, if any, is not counted."""
    if type(box) is dict:
        return f"dict value {list(box).index(at)}"
    if type(box[0]) is str and box[0].startswith(MARK):
        return f"list item {at - 1}" if box[0] == LIST else "in a set"
    return f"list item {at}"
