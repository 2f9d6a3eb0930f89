"""Runs of agents in the chat-completions format.

A file holds a list of runs (or one run, or one run a line). A run is an object with its messages under
``traj`` or ``messages`` and anything else beside them, or just the list of its messages. A message is an
object with a ``role``. Nothing is dropped and nothing is changed: what is not understood is kept as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from daystore.errors import TranscriptError
from daystore.importing.files import read_values
from daystore.stores.memories import MAX_MEMORY_ID_BYTES

__all__ = ["Message", "Run", "read_runs"]

Message: TypeAlias = dict[str, Any]

_MESSAGES = ("traj", "messages")
_STARTED = ("started_at", "created_at", "created")
_ENDED = ("ended_at", "last_active", "updated_at")
_SENT = ("timestamp", "created_at")
_EXPECTED_RUN = (
    "a run is an object with its messages under 'traj' or 'messages', or just the list of its messages"
)
_EXPECTED_MESSAGE = "a message is an object whose 'role' is a text that is not empty"
_LABEL_BYTES = 256
_MILLISECONDS = 1e11  # as seconds this would be the year 5138, so such a number counts milliseconds


@dataclass(frozen=True, slots=True)
class Run:
    """One run of an agent, as its file tells it.

    Attributes:
        id: ``id``, or made of ``task_id`` and ``trial``, or of a digest of the run: the same every time.
        messages: As they are in the file, in order.
        rest: Everything of the run beside its messages, as it is in the file.
        digest: SHA-256 of all of it, in hexadecimal.
        position: Where in the file it stands.
        type: ``type``, if it is a text of at most 256 bytes, as are the next four.
        status: ``status``.
        user_id: ``user_id``.
        agent_id: ``agent_id``.
        title: ``title``.
        reward: ``reward``, if it is a number.
        started: When it began, in UTC; a time without a zone is taken as UTC. ``None`` if nothing tells.
        ended: When it ended, or the time of its last message.
    """

    id: str
    messages: list[Message]
    rest: dict[str, Any]
    digest: str
    position: str
    type: str | None
    status: str | None
    user_id: str | None
    agent_id: str | None
    title: str | None
    reward: float | None
    started: datetime | None
    ended: datetime | None


def read_runs(path: Path) -> Iterator[Run]:
    """Read the runs of a file, one after the other.

    Args:
        path: See `daystore.importing.files.read_values`.

    Yields:
        Each run, checked. No two have the same id.

    Raises:
        TranscriptError: If the file cannot be read or what is in it is no transcript; the message says where.
    """
    seen: dict[str, str] = {}
    for place, value in read_values(path):
        for position, raw in _split(value, path, place):
            run = _run(raw, path, position)
            if run.id in seen and not _has_id(run.rest):
                run = _numbered(run, seen)
            if run.id in seen:
                raise TranscriptError(
                    path,
                    f"the same id as the run at {seen[run.id]}: give each run an id of its own",
                    position,
                )
            seen[run.id] = position
            yield run
    if not seen:
        raise TranscriptError(path, "there is no run in it")


def _split(value: object, path: Path, place: str) -> Iterator[tuple[str, object]]:
    """Find the runs in a value: a line is one, and so is a list of messages; any other list is of runs."""
    if not isinstance(value, dict | list):
        raise TranscriptError(
            path, f"expected {'a run' if place else 'a list of runs'}, found {_found(value)}", place
        )
    if place or isinstance(value, dict) or _is_message(value[0] if value else None):
        yield place, value
        return
    for index, raw in enumerate(value):
        yield f"[{index}]", raw


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and "role" in value and not any(name in value for name in _MESSAGES)


def _run(raw: object, path: Path, position: str) -> Run:
    """Check one run and take out what a context shows of it."""
    messages, rest = _messages(raw, path, position)
    digest = hashlib.sha256(json.dumps(raw, separators=(",", ":")).encode()).hexdigest()
    started, ended = _times(messages, rest)
    return Run(
        id=_id(rest, digest, path, position),
        messages=messages,
        rest=rest,
        digest=digest,
        position=position,
        type=_label(rest.get("type")),
        status=_label(rest.get("status")),
        user_id=_label(rest.get("user_id")),
        agent_id=_label(rest.get("agent_id")),
        title=_label(rest.get("title")),
        reward=_number(rest.get("reward")),
        started=started,
        ended=ended,
    )


def _messages(raw: object, path: Path, position: str) -> tuple[list[Message], dict[str, Any]]:
    """Check the shape of one run, and part its messages from the rest."""
    if isinstance(raw, list):
        name, messages, rest = "", raw, {}
    elif isinstance(raw, dict) and any(name in raw for name in _MESSAGES):
        if all(name in raw for name in _MESSAGES):
            raise TranscriptError(path, "both 'traj' and 'messages': which are the messages?", position)
        name = "traj" if "traj" in raw else "messages"
        messages = raw[name]
        rest = {key: item for key, item in raw.items() if key != name}
    else:
        raise TranscriptError(path, f"{_EXPECTED_RUN}; found {_found(raw)}", position)
    if not isinstance(messages, list):
        raise TranscriptError(
            path, f"expected a list of messages, found {_found(messages)}", _inside(position, name)
        )
    for index, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if not isinstance(role, str) or not role:
            raise TranscriptError(
                path, f"{_EXPECTED_MESSAGE}; found {_found(message)}", _inside(position, f"{name}[{index}]")
            )
    return messages, rest


def _inside(position: str, name: str) -> str:
    """Join two positions: ``[3].traj[5]``, ``line 4, traj[5]``, ``traj[5]`` or ``[5]``."""
    if not position or name.startswith("["):
        return f"{position}{name}" if not position.startswith("line") else f"{position}, {name}"
    return f"{position}{', ' if position.startswith('line') else '.'}{name}"


def _has_id(rest: Message) -> bool:
    return rest.get("id") is not None or rest.get("task_id") is not None


def _id(rest: Message, digest: str, path: Path, position: str) -> str:
    """Name a run by what it says of itself, otherwise by its content."""
    if rest.get("id") is not None:
        made = _part(rest, "id", path, position)
    elif rest.get("task_id") is not None:
        made = f"task-{_part(rest, 'task_id', path, position)}"
        if rest.get("trial") is not None:
            made += f"-trial-{_part(rest, 'trial', path, position)}"
    else:
        made = f"run-{digest[:16]}"
    if len(made.replace("~", "~0").replace("/", "~1").encode()) > MAX_MEMORY_ID_BYTES:
        problem = f"the id has more than {MAX_MEMORY_ID_BYTES} bytes in UTF-8, '/' and '~' counted twice"
        raise TranscriptError(path, problem, position)
    return made


def _part(rest: Message, name: str, path: Path, position: str) -> str:
    part = rest[name]
    if isinstance(part, bool) or not isinstance(part, str | int) or part == "":
        raise TranscriptError(
            path, f"expected a text or an integer, found {_found(part)}", _inside(position, name)
        )
    return str(part)


def _numbered(run: Run, seen: dict[str, str]) -> Run:
    """Tell runs without an id and with the same content apart by their order in the file."""
    number = 2
    while f"{run.id}-{number}" in seen:
        number += 1
    return replace(run, id=f"{run.id}-{number}")


def _times(messages: list[Message], rest: Message) -> tuple[datetime | None, datetime | None]:
    sent = [time for message in messages if (time := _time(message, _SENT)) is not None]
    started = _time(rest, _STARTED) or (min(sent) if sent else None)
    ended = _time(rest, _ENDED) or (max(sent) if sent else None)
    return started, ended


def _time(source: Message, names: tuple[str, ...]) -> datetime | None:
    for name in names:
        if (time := _instant(source.get(name))) is not None:
            return time
    return None


def _instant(value: object) -> datetime | None:
    """Read ISO 8601, or seconds or milliseconds since 1970. What is neither is not a time, and no error."""
    try:
        if isinstance(value, str):
            time = datetime.fromisoformat(value)
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if value > _MILLISECONDS else value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def _label(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value.encode()) <= _LABEL_BYTES else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _found(value: object) -> str:
    """Describe the shape of a JSON value, without its content."""
    if isinstance(value, dict):
        names = ", ".join(repr(name[:40]) for name in list(value)[:5])
        more = f" and {len(value) - 5} more" if len(value) > 5 else ""
        return f"an object with {names}{more}" if value else "an object without keys"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    names_of_types = {
        str: "a text",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        type(None): "null",
    }
    return names_of_types[type(value)]
