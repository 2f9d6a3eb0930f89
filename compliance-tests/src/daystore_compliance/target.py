"""Targets: what is certified, and how the suite gets at it."""

from __future__ import annotations

import importlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Final

from daystore.abc import Clock, StorageAdapter
from daystore.adapters.memory import MemoryAdapter

__all__ = ["BUILTIN", "HOOKS", "MemoryTarget", "SqlTarget", "Target", "UrlTarget", "installed", "resolve"]

HOOKS: Final = frozenset({"fresh", "reopen", "second"})
"""What a target may offer beyond an adapter: see `Target.hooks`."""

ENTRY_POINTS: Final = "daystore.compliance"


class Target:
    """A backend as the suite sees it. A subclass writes `open`, and says which `hooks` it has.

    Attributes:
        name: By which it is chosen and reported.
        hooks: What the suite may do with it. ``second``: several adapters in one namespace see the same data.
            ``reopen``: what was written is there again after close and open. ``fresh``: there can be another
            target like this one, on storage that was never used.
        disposable: The storage goes with the target, so a case need not clean up behind itself.
        store_options: Options of every store that the suite makes: a serializer, middleware.
    """

    name: str
    hooks: frozenset[str] = frozenset({"reopen", "second"})
    disposable: ClassVar[bool] = False
    store_options: Mapping[str, Any] = MappingProxyType({})

    async def open(self, namespace: str, clock: Clock) -> StorageAdapter:
        """Return an open adapter in `namespace`, which takes the time from `clock`."""
        raise NotImplementedError("a target opens adapters")

    async def reopen(self, adapter: StorageAdapter) -> StorageAdapter:
        """Close an adapter and return an open one on the same data."""
        await adapter.close()
        return await self.open(adapter.namespace, adapter.clock)

    def fresh(self) -> Target:
        """Return another target like this one, on storage that was never used; it has not been started."""
        raise NotImplementedError("a target that declares the hook 'fresh' makes others like it")

    def start(self) -> None:
        """Provide the storage, before anything is opened."""

    def stop(self) -> None:
        """Give back what `start` took."""

    @contextmanager
    def running(self) -> Iterator[Target]:
        """Start, and stop at the end of the block."""
        self.start()
        try:
            yield self
        finally:
            self.stop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class MemoryTarget(Target):
    """The reference adapter. Each instance has data of its own, so there is no second one on the same."""

    name = "memory"
    hooks: frozenset[str] = frozenset({"reopen"})
    disposable = True
    adapter: ClassVar[type[StorageAdapter]] = MemoryAdapter

    async def open(self, namespace: str, clock: Clock) -> StorageAdapter:
        """Return an adapter without data."""
        adapter = self.adapter(namespace=namespace, clock=clock)
        await adapter.open()
        return adapter

    async def reopen(self, adapter: StorageAdapter) -> StorageAdapter:
        """Close and open the same object, whose data lives as long as it does."""
        await adapter.close()
        await adapter.open()
        return adapter


class UrlTarget(Target):
    """Whatever plugin answers to a URL.

    Args:
        url: As a user of daystore writes it.
    """

    def __init__(self, url: str) -> None:
        self.url: str = url
        self.name: str = url.partition(":")[0]

    async def open(self, namespace: str, clock: Clock) -> StorageAdapter:
        """Return the adapter that the plugin makes of the URL."""
        from daystore.plugins import default_plugins

        adapter = default_plugins().open_adapter(self.url, namespace=namespace, clock=clock)
        await adapter.open()
        return adapter


class SqlTarget(UrlTarget):
    """SQLite in a file of a temporary directory."""

    hooks: frozenset[str] = HOOKS
    disposable = True

    def __init__(self) -> None:
        super().__init__("sqlite://")
        self.name = "sql"

    def fresh(self) -> Target:
        """Return another one, with a directory of its own."""
        return SqlTarget()

    def start(self) -> None:
        """Make the directory."""
        self._directory = tempfile.mkdtemp(prefix="daystore-compliance-")
        self.url: str = f"sqlite:///{Path(self._directory) / 'suite.db'}"

    def stop(self) -> None:
        """Remove the directory."""
        shutil.rmtree(self._directory)


class SqlMemoryTarget(UrlTarget):
    """SQLite in memory: one adapter, one database, gone with it."""

    hooks: frozenset[str] = frozenset()
    disposable = True

    def __init__(self) -> None:
        super().__init__("sqlite://")
        self.name = "sql-memory"


BUILTIN: Final[dict[str, type[Target]]] = {
    "memory": MemoryTarget,
    "sql": SqlTarget,
    "sql-memory": SqlMemoryTarget,
}


def installed() -> list[Target]:
    """Return the targets that are tried when none is named: those of daystore that are installed."""
    return [MemoryTarget(), *([SqlTarget()] if find_spec("daystore_sql") else [])]


def resolve(text: str) -> Target:
    """Find a target.

    Args:
        text: The name of a built-in target or of an entry point of the group ``daystore.compliance``, a URL,
            or ``module:attribute``.

    Raises:
        LookupError: If nothing answers to it; the message says what does.
    """
    if text in BUILTIN:
        return BUILTIN[text]()
    if "://" in text:
        return UrlTarget(text)
    found = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    if text in found:
        return _made(found[text].load(), text)
    module, colon, attribute = text.partition(":")
    if colon and module and attribute:
        try:
            return _made(getattr(importlib.import_module(module), attribute), text)
        except (ImportError, AttributeError) as error:
            raise LookupError(f"no target at {text!r}: {error}") from error
    names = ", ".join(sorted({*BUILTIN, *found}))
    raise LookupError(f"no target is called {text!r}: there are {names}; or give a URL, or module:attribute")


def _made(made: object, text: str) -> Target:
    target = made() if isinstance(made, type) else made
    if isinstance(target, Target):
        return target
    raise LookupError(f"{text!r} is a {type(target).__name__}, not a daystore_compliance.Target")
