"""Other stores, behind the calls of a subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from benchmarks.subjects import PAYLOAD, Value


class LangGraph:
    """A LangGraph store."""

    payload = PAYLOAD

    def __init__(self, store: Any) -> None:
        from langgraph.store.base import GetOp, PutOp

        self._store, self._get_op, self._put_op = store, GetOp, PutOp
        self._namespace = ("agent", "bench")

    async def set(self, key: str, value: Any) -> None:
        await self._store.aput(self._namespace, key, value)

    async def get(self, key: str) -> object:
        return await self._store.aget(self._namespace, key)

    async def set_batch(self, items: Mapping[str, Any]) -> None:
        await self._store.abatch([self._put_op(self._namespace, key, value) for key, value in items.items()])

    async def get_batch(self, keys: Sequence[str]) -> Any:
        return await self._store.abatch([self._get_op(self._namespace, key) for key in keys])


class KeyValue:
    """A py-key-value store."""

    payload = PAYLOAD

    def __init__(self, store: Any) -> None:
        self._store = store

    async def set(self, key: str, value: Any) -> None:
        await self._store.put(key, value, collection="bench")

    async def get(self, key: str) -> object:
        return await self._store.get(key, collection="bench")

    async def set_batch(self, items: Mapping[str, Value]) -> None:
        await self._store.put_many(list(items), list(items.values()), collection="bench")

    async def get_batch(self, keys: Sequence[str]) -> Any:
        return await self._store.get_many(list(keys), collection="bench")


class OpenDAL:
    """An OpenDAL operator. It moves bytes, so the JSON is made here; it has no batches."""

    payload = PAYLOAD

    def __init__(self, scheme: str, **options: str) -> None:
        import opendal

        self._operator = opendal.AsyncOperator(scheme, **options)

    async def set(self, key: str, value: Value) -> None:
        await self._operator.write(key, orjson.dumps(value))

    async def get(self, key: str) -> object:
        return orjson.loads(await self._operator.read(key))
