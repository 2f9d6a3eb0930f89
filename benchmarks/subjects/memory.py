"""In the process: a dictionary, and stores in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson

from benchmarks.subjects import PAYLOAD, Field, Value
from benchmarks.subjects.daystore import adapter, store
from benchmarks.subjects.peers import KeyValue, LangGraph


class RawDict:
    """A dictionary of JSON bytes: the floor for a memory store that hands out copies."""

    payload = PAYLOAD

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    async def set(self, key: str, value: Value) -> None:
        self._values[key] = orjson.dumps(value)

    async def get(self, key: str) -> object:
        return orjson.loads(self._values[key])

    async def set_batch(self, items: Mapping[str, Value]) -> None:
        self._values.update((key, orjson.dumps(value)) for key, value in items.items())

    async def get_batch(self, keys: Sequence[str]) -> Any:
        return {key: orjson.loads(self._values[key]) for key in keys}


@asynccontextmanager
async def workspace(_: str) -> AsyncIterator[str]:
    """Yield the URL: every adapter of it begins empty."""
    yield "memory://"


async def version(_: str) -> str:
    """Say that there is no server."""
    return "in the process"


async def settle(_: str) -> None:
    """Do nothing."""


@asynccontextmanager
async def subjects(url: str) -> AsyncIterator[Field]:
    """Everything that keeps values in the process."""
    from key_value.aio.stores.memory import MemoryStore
    from langgraph.store.memory import InMemoryStore

    async with store(url) as ours, adapter(url) as ours_bytes:
        yield Field(
            {
                "raw dict of JSON bytes": RawDict(),
                "daystore": ours,
                "daystore adapter, bytes": ours_bytes,
                "LangGraph InMemoryStore (live references)": LangGraph(InMemoryStore()),
                "py-key-value MemoryStore": KeyValue(MemoryStore()),
            }
        )
