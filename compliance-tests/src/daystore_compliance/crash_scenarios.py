"""What processes do until they are killed: see `daystore_compliance.crashing`.

Nothing here imports pytest, so that the process that forks the others is up in no time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from daystore import Storage
from daystore.abc import Capabilities, Delete, FieldValue, Instant, Put, WriteBatch
from daystore.stores import Store
from daystore_compliance.crashing import Work

__all__ = ["STEPS", "commits", "notes_of", "step", "versions", "writes"]


# --- txn.crash_mid_commit ------------------------------------------------------------------------------------


def notes_of(storage: Storage) -> Store[Any]:
    """Return the store that `commits` writes to."""
    return storage.store("notes", indexes={"turn": int, "tag": str})


async def commits(work: Work) -> None:
    """Write a note by itself, and then, in one commit, whatever a commit can hold: everything says its turn."""
    turn = work.number
    storage = work.target.storage_type({"main": work.adapter})
    notes = notes_of(storage)
    await notes.set(f"alone-{turn}", {"turn": turn, "tag": "alone"})
    work.tell("alone")
    async with storage.transaction() as tx:
        mine = tx[notes]
        head = await mine.get("head")
        await mine.set("head", {"turn": turn, "tag": "head"})
        await mine.set_batch({f"{name}-{turn}": {"turn": turn, "tag": name} for name in ("kept", "passing")})
        if head is not None:
            await mine.delete(f"passing-{head['turn']}")
        await tx.memories.append("m", [turn])
        await tx.events.emit("turn", turn)
        work.arm()
    work.tell("committed")


# --- cas.unique_after_crash ----------------------------------------------------------------------------------


async def versions(work: Work) -> None:
    """Write, overwrite, delete and write again, and tell the version of each value when it is acknowledged."""
    work.arm()
    for index in range(3):
        for key in ("a", "b"):
            value = f"{work.number} {index}"
            put = Put("versions", key, value.encode())
            (outcome,) = await work.adapter.write(WriteBatch((put,)))
            work.tell([outcome.version, key, value])
        await work.adapter.delete("versions", "b")


# --- life.kill_service_durable -------------------------------------------------------------------------------


def _put(key: str, number: int, lives: Instant | None = None) -> Put:
    fields: dict[str, FieldValue] = {"n": number, "tags": (f"t{number}", "all")}
    return Put("kept", key, bytes([number]) * (1 + 700 * number), fields=fields, expires_at=lives)


STEPS: Final[tuple[tuple[Put | Delete, ...], ...]] = (
    (_put("a", 1),),
    (_put("b", 2, 60_000_000), _put("c", 3), _put("d", 4)),
    (_put("a", 5, 600_000_000),),
    (Delete("kept", "c"),),
    (_put("a", 6), Delete("kept", "b"), _put("c", 7), _put("e", 8)),
    tuple(_put(f"many{number}", number) for number in range(50)),
)
"""Batches that are acknowledged one after the other before a process is killed; they expire so long after now."""


def step(number: int, capabilities: Capabilities, now: Instant) -> WriteBatch:
    """Return one of `STEPS` as a backend can take it: atomic, and with an expiry, where there is such a thing."""
    return WriteBatch(
        [
            replace(one, expires_at=_deadline(one, now) if capabilities.ttl else None)
            if isinstance(one, Put)
            else one
            for one in STEPS[number]
        ],
        atomic=capabilities.atomic_batch,
    )


def _deadline(put: Put, now: Instant) -> Instant | None:
    return now - now % 1000 + put.expires_at if isinstance(put.expires_at, int) else None


async def writes(work: Work) -> None:
    """Take every step, and tell the versions of each when it is acknowledged."""
    adapter = work.adapter
    for number in range(len(STEPS)):
        outcomes = await adapter.write(step(number, adapter.capabilities, adapter.clock()))
        work.tell([outcome.version for outcome in outcomes])
