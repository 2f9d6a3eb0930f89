"""Mutants of stores that are right on most ways to a value, and wrong on one of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from daystore.stores import Store
from daystore_compliance.mutants.base import mutant


@mutant("miss.looking_leaves_nothing")
class ExpireCreates(Store[Any]):
    """Giving a missing record a time to live creates it with None, and says that there was none."""

    async def expire(self, key: str, ttl: Any) -> bool:
        """Expire, and create."""
        existed = await super().expire(key, ttl)
        if not existed:
            await self.set(key, None)
        return existed


@mutant("miss.looking_leaves_nothing")
class EntryCreates(Store[Any]):
    """Asking for the entry of a missing key stores the None that it returns."""

    async def entry(self, key: str, **options: Any) -> Any:
        """Read, and keep the answer."""
        found = await super().entry(key, **options)
        if found is None:
            await self.set(key, None)
        return found


@mutant("rt.every_path")
class BatchDropsNone(Store[Any]):
    """A None in a batch means that the record is to be left alone."""

    async def set_batch(self, items: Any, **options: Any) -> dict[str, str]:
        """Write the others."""
        return await super().set_batch({k: v for k, v in dict(items).items() if v is not None}, **options)


@mutant("rt.every_path")
class StreamSkipsFalsy(Store[Any]):
    """A scan passes over what is false."""

    async def scan(self, what: Any = None) -> Any:
        """Yield the others."""
        async for entry in super().scan(what):
            if entry.value or entry.value is None:
                yield entry


@mutant("rt.every_path")
class EntriesAsText(Store[Any]):
    """Entries carry bytes as text."""

    async def entries(self, keys: Any, **options: Any) -> Any:
        """Decode what is bytes."""
        found = await super().entries(keys, **options)
        for entry in found.values():
            if type(entry.value) is bytes:
                entry.value = entry.value.decode("latin-1")
        return found


@mutant("rt.every_path")
class PersistCutsValues(Store[Any]):
    """Removing a deadline writes the value anew, at most 4,096 bytes of it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        codec, again = self._access.codec, type(self._access.codec).again
        self._access.codec.__class__ = type(
            "Cutting",
            (type(codec),),
            {"__slots__": (), "again": lambda s, r, e: again(s, replace(r, value=r.value[:4096]), e)},
        )


@mutant("rt.no_alias_any_path")
class EntriesShared(Store[Any]):
    """What get_batch and entries return is handed out again as long as the version is the same."""

    async def entries(self, keys: Any, **options: Any) -> Any:
        """Read, and prefer what is known."""
        known = self.__dict__.setdefault("_known", {})
        found = await super().entries(keys, **options)
        return {key: known.setdefault((key, entry.version), entry) for key, entry in found.items()}
