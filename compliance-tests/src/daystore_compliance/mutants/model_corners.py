"""Mutants of typed stores: models that come back as something close to them."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from pydantic import BaseModel

from daystore.stores import Store
from daystore_compliance.mutants.base import mutant


class Dumps(Store[Any]):
    """Makes models plain in another way, and does not verify it. Base of mutants, and none itself."""

    how: ClassVar[dict[str, Any]]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{**options, "verify": False})
        shape: Any = self._access.codec.shape
        if shape.type is not None:
            shape._dump = partial(_dump, shape._dump, self.how)


def _dump(dump: Any, how: dict[str, Any], value: Any, **options: Any) -> Any:
    return dump(value, **{**options, **how})


@mutant("rt.model_corners", "rt.models")
class DumpsAsJson(Dumps):
    """Models are made plain as for JSON, and what is text then may stay text."""

    how: ClassVar[dict[str, Any]] = {"mode": "json", "round_trip": True}


@mutant("rt.model_indexes")
class DumpsWithoutDefaults(Dumps):
    """Fields that have their default are left out, of the indexes as well."""

    how: ClassVar[dict[str, Any]] = {"exclude_defaults": True}


@mutant("rt.model_indexes")
class DumpsWithoutNone(Dumps):
    """Fields that are None are left out, and come back as their default."""

    how: ClassVar[dict[str, Any]] = {"exclude_none": True}


@mutant("rt.model_corners")
class DumpsWithoutHidden(Dumps):
    """What a model excludes comes back as its default."""

    how: ClassVar[dict[str, Any]] = {}


@mutant("rt.model_corners")
class UnionsByFirst(Store[Any]):
    """A field of several types comes back as text if it may be text and was written as such a number."""

    async def entries(self, keys: Any, **options: Any) -> Any:
        """Look at what was read."""
        found = await super().entries(keys, **options)
        for entry in found.values():
            if isinstance(entry.value, BaseModel) and type(getattr(entry.value, "scalar", None)) is float:
                entry.value = entry.value.model_copy(update={"scalar": int(entry.value.scalar)})  # type: ignore[attr-defined]
        return found
