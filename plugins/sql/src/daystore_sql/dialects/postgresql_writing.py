"""The parameters of PostgreSQL's statement for a batch of writes, and what its outcome says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from daystore.abc import Holds
from daystore_sql.network.changes import Change, Changes, Ticket, Verdict

__all__ = ["MISSED", "brief", "entry_columns", "once", "parameters_of", "verdicts_of"]

_KINDS = {"check": 0, "put": 1, "delete": 2, "prepare": 128, "release": 128}


def parameters_of(changes: Changes, ticket: Ticket) -> tuple[object, ...]:
    """Return the parameters of `WRITE`."""
    items = changes.items
    holds_places = changes.atomic and len(items) > 1
    modes = bytearray()
    expected: list[bytes | None] = []
    for change in items:
        expect, mode = change.expect, _KINDS[change.kind]
        mode |= 16 * change.keeps | 32 * (holds_places and change.kind in ("check", "delete"))
        if isinstance(expect, str):
            expected.append(expect.encode("utf-8", "surrogatepass"))
            mode |= 8
        elif isinstance(expect, Holds):
            expected.append(expect.transaction)
            mode |= 64
        else:
            expected.append(None)
            mode |= 4 * (expect.value == "absent")
        modes.append(mode)
    scopes = [change.scope for change in items]
    return (
        sorted(set(scopes)),
        once(scopes),
        [change.key for change in items],
        brief(expected),
        bytes(modes),
        [change.version for change in items],
        brief([change.expires_at for change in items]),
        once([change.shape for change in items]),
        once([change.meta for change in items]),
        brief([change.fields for change in items]),
        brief([change.intent for change in items]),
        [change.value for change in items],
        len(items),
        *entry_columns(items),
        changes.now,
        ticket.deadline,
        changes.atomic,
        ticket.id,
    )


def entry_columns(items: Sequence[Change]) -> tuple[list[Any], ...]:
    """Return the index entries of all changes as columns: whose they are, counted from 1, and what they hold."""
    numbers: list[int] = []
    entries: list[tuple[int, bytes]] = []
    values: list[tuple[int | None, float | None]] = []
    for n, change in enumerate(items, 1):
        if change.entries:
            numbers += [n] * len(change.entries)
            entries += change.entries.keys()
            values += change.entries.values()
    return (
        numbers,
        [field for field, _ in entries],
        [sort_key for _, sort_key in entries],
        [whole for whole, _ in values],
        [real for _, real in values],
    )


def brief(column: list[Any]) -> list[Any]:
    """Leave out a column of nulls: the server fills up what is short."""
    return column if any(cell is not None for cell in column) else []


def once(column: list[Any]) -> list[Any]:
    """Leave out all but the first cell of a column of the same: the statement fills up what is short by it."""
    return column[:1] if column[1:] == column[:-1] else column


_DIGITS = {chr(mark): Verdict.of_mark(mark) for mark in range(ord("0"), ord("8"))}
MISSED: Final = frozenset(digit for digit, verdict in _DIGITS.items() if verdict.existed and not verdict.done)
"""The digits of live records that are not as they were expected."""


def verdicts_of(outcome: str, currents: Iterator[bytes | None]) -> list[Verdict]:
    """Return the verdicts of an outcome; `currents` are the versions of what is `MISSED`, in order."""
    verdicts: list[Verdict] = []
    for digit in outcome:
        verdict = _DIGITS[digit]
        if digit in MISSED:
            current = next(currents, None)
            verdict = verdict._replace(current=None if current is None else current.decode())
        verdicts.append(verdict)
    return verdicts
