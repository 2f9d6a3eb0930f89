"""Targets: what is certified, and how the suite gets at it."""

from __future__ import annotations

import importlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from daystore.abc import Clock, Record, StorageAdapter
from daystore.adapters.memory import MemoryAdapter
from daystore.storage import Storage
from daystore.stores import Store

__all__ = [
    "BUILTIN",
    "HOOKS",
    "MemoryTarget",
    "Raw",
    "SqlTarget",
    "Target",
    "UrlTarget",
    "installed",
    "resolve",
]

HOOKS: Final = frozenset(
    {"crash", "fresh", "future", "process", "proxy", "raw", "reopen", "second", "visited"}
)
"""What a target may offer beyond an adapter: see `Target.hooks`."""

ENTRY_POINTS: Final = "daystore.compliance"


@dataclass(frozen=True, slots=True)
class Raw:
    """What is physically kept for one namespace, seen past the adapter.

    Attributes:
        records: Records, the expired and the deleted that were not reclaimed among them.
        entries: Entries of indexes, markers and whatever else is kept beside records.
        connections: Connections of the adapter to its server; ``None`` where there is none. They come and go
            without anything being kept, so they do not count where two of these are compared.
    """

    records: int
    entries: int
    connections: int | None = field(default=None, compare=False)


class Target:
    """A backend as the suite sees it. A subclass writes `open`, and says which `hooks` it has.

    Attributes:
        name: By which it is chosen and reported.
        text: What `resolve` made it of.
        kind: What stands behind it: ``embedded``, ``container``, ``process``, ``url`` or ``emulated``.
        hooks: What the suite may do with it. ``second``: several adapters in one namespace see the same data.
            ``reopen``: what was written is there again after close and open. ``fresh``: there can be another
            target like this one, on storage that was never used. ``process``: another process can open the same
            data, see `elsewhere`. ``raw``: what is physically kept can be counted, see `raw`. ``proxy``: the
            backend is reached by TCP, so that the connection can be made to fail, see `address` and `at`.
            ``future``: a later version of the storage's layout can be pretended, see `from_the_future`.
            ``visited``: what a query looks at in the backend can be counted, see `visited`. ``crash``: there can
            be another target like this one with a server of its own, which can be killed, see `private`, `kill`
            and `restart`.
        disposable: The storage goes with the target, so a case need not clean up behind itself.
        case_seconds: Seconds after which a case is taken to hang. A target of which every record costs a request
            gives more: cases with thousands of records, and with dozens of lost replies, take that long.
        secrets: What must stand in no message, such as the password of the server.
        store_options: Options of every store that the suite makes: a serializer, middleware.
        store_type: Class of every plain store that the suite makes.
        storage_type: Class of every storage that the suite makes.
    """

    name: str
    text: str = ""
    kind: str = "embedded"
    hooks: frozenset[str] = frozenset({"reopen", "second"})
    disposable: bool = False
    case_seconds: float = 30.0
    secrets: tuple[str, ...] = ()
    store_options: Mapping[str, Any] = MappingProxyType({})
    store_type: type[Store[Any]] = Store
    storage_type: type[Storage] = Storage

    async def open(self, namespace: str, clock: Clock) -> StorageAdapter:
        """Return an open adapter in `namespace`, which takes the time from `clock`.

        A case that is about time limits sets the adapter's ``timeout``, which `StorageAdapter` reads anew for
        each operation.
        """
        raise NotImplementedError("a target opens adapters")

    async def reopen(self, adapter: StorageAdapter) -> StorageAdapter:
        """Close an adapter and return an open one on the same data."""
        await adapter.close()
        return await self.open(adapter.namespace, adapter.clock)

    async def forget(self, namespace: str) -> None:
        """Remove what is left of a case that has ended, where it would slow down those after it."""

    def fresh(self) -> Target:
        """Return another target like this one, on storage that was never used; it has not been started."""
        raise NotImplementedError("a target that declares the hook 'fresh' makes others like it")

    def elsewhere(self) -> str:
        """Return what `resolve` makes a target of, in another process, that opens the same data."""
        raise NotImplementedError("a target that declares the hook 'process' says how to open its data again")

    async def raw(self, adapter: StorageAdapter) -> Raw:
        """Count what is physically kept in the namespace of an adapter, without going through it.

        What the adapter reclaims beside its writes has been reclaimed by then: wait for it.
        """
        raise NotImplementedError("a target that declares the hook 'raw' counts what is kept")

    def from_the_future(self) -> Callable[[], None]:
        """Stamp the storage with a layout that is still to come; return what takes that back."""
        raise NotImplementedError("a target that declares the hook 'future' stamps its storage")

    def visited(self, adapter: StorageAdapter) -> int:
        """Return how many steps the backend has taken to read for an adapter since that was opened.

        What a step is, is the backend's own: a row, an entry of an index, an instruction. It only has to grow with
        what is looked at.
        """
        raise NotImplementedError("a target that declares the hook 'visited' counts what is looked at")

    def private(self) -> Target:
        """Return another target like this one, with a server that nobody else uses; it has not been started."""
        raise NotImplementedError("a target that declares the hook 'crash' can have a server of its own")

    def kill(self) -> None:
        """Kill the server of a target that `private` has returned, as ``kill -9`` does."""
        raise NotImplementedError("a target that declares the hook 'crash' kills its server")

    def restart(self) -> None:
        """Start the killed server again, with what it has stored and at its address; return when it is ready."""
        raise NotImplementedError("a target that declares the hook 'crash' starts its server again")

    @property
    def facts(self) -> Mapping[str, str]:
        """What is known of the backend besides what it says of itself, such as the image of its server."""
        return {}

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the server, once it was started."""
        raise NotImplementedError("a target that declares the hook 'proxy' has an address")

    def at(self, host: str, port: int) -> Target:
        """Return this target, started, with its server reached at another address: that of a proxy."""
        raise NotImplementedError("a target that declares the hook 'proxy' can be reached through one")

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
    """The reference adapter. Adapters of one target in one namespace share their data.

    Args:
        adapter: Its class, for variations of it.
    """

    name = "memory"
    hooks: frozenset[str] = frozenset({"fresh", "raw", "reopen", "second"})
    disposable = True
    adapter: type[MemoryAdapter] = MemoryAdapter

    def __init__(self) -> None:
        self._storage: dict[str, dict[str, dict[str, Record]]] = {}

    def fresh(self) -> Target:
        """Return another one, without data."""
        return type(self)()

    async def open(self, namespace: str, clock: Clock) -> StorageAdapter:
        """Return an adapter on the data of its namespace."""
        adapter = self.adapter(namespace=namespace, clock=clock)
        adapter._collections = self._storage.setdefault(namespace, {})
        await adapter.open()
        return adapter

    async def reopen(self, adapter: StorageAdapter) -> StorageAdapter:
        """Close and open the same object."""
        await adapter.close()
        await adapter.open()
        return adapter

    async def raw(self, adapter: StorageAdapter) -> Raw:
        """Count the records that are kept."""
        return Raw(sum(map(len, self._storage.get(adapter.namespace, {}).values())), 0)


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
    """SQLite in a file: of a temporary directory, which goes with the target, unless a URL names one.

    Where several processes of one run are at work, each has a file of its own beside the one that is named: the
    clocks of their cases do not agree, and what has expired for one of them is reclaimed for all.

    Args:
        url: ``sqlite:///path``, or ``None`` for a file of its own.
    """

    def __init__(self, url: str | None = None) -> None:
        super().__init__(url or "sqlite://")
        self.name = "sql"
        self.hooks: frozenset[str] = HOOKS - {"crash", "proxy", "visited"}
        self.disposable: bool = url is None
        self._directory: str | None = None
        self._worker = os.environ.get("PYTEST_XDIST_WORKER") if url is not None else None
        if self._worker is not None:
            named, mark, options = self.url.partition("?")
            self.url: str = f"{named}-{self._worker}{mark}{options}"

    def fresh(self) -> Target:
        """Return another one, with a directory of its own."""
        return SqlTarget()

    def start(self) -> None:
        """Make the directory."""
        if self.disposable:
            self._directory = tempfile.mkdtemp(prefix="daystore-compliance-")
            self.url = f"sqlite:///{Path(self._directory) / 'suite.db'}"

    def stop(self) -> None:
        """Remove the directory, or the file that was only this process's."""
        if self._directory is not None:
            shutil.rmtree(self._directory)
        elif self._worker is not None:
            for suffix in ("", "-shm", "-wal"):
                Path(self._path + suffix).unlink(missing_ok=True)

    def elsewhere(self) -> str:
        """Return the URL of the file."""
        return self.url

    def from_the_future(self) -> Callable[[], None]:
        """Stamp the file with a layout that is still to come."""
        layout = self._stamp("9999")

        def back() -> None:
            self._stamp(layout)

        return back

    def _stamp(self, layout: str) -> str:
        with closing(sqlite3.connect(self._path)) as connection, connection:
            (old,) = connection.execute("SELECT version_num FROM ds_layout").fetchone()
            connection.execute("UPDATE ds_layout SET version_num = ?", (layout,))
        return str(old)

    @property
    def _path(self) -> str:
        return self.url.removeprefix("sqlite:///").partition("?")[0]

    async def raw(self, adapter: StorageAdapter) -> Raw:
        """Count the rows of a namespace."""
        with closing(sqlite3.connect(self._path)) as connection:
            (records,) = connection.execute(_COUNT_RECORDS, (adapter.namespace.encode(),)).fetchone()
            (entries,) = connection.execute(_COUNT_ENTRIES, (adapter.namespace.encode(),)).fetchone()
        return Raw(records, entries)


_COUNT_RECORDS: Final = """
SELECT count(*) FROM ds_record JOIN ds_scope ON ds_scope.id = ds_record.scope WHERE namespace = ?
"""
_COUNT_ENTRIES: Final = """
SELECT count(*) FROM ds_field JOIN ds_name ON ds_name.id = ds_field.field
JOIN ds_scope ON ds_scope.id = ds_name.scope WHERE namespace = ?
"""


class SqlDurableTarget(SqlTarget):
    """SQLite that waits for the disk, and so declares that it is durable."""

    def __init__(self, url: str | None = None) -> None:
        super().__init__(url)
        self.name = "sql-durable"

    def fresh(self) -> Target:
        """Return another one, with a directory of its own."""
        return SqlDurableTarget()

    def start(self) -> None:
        """Make the directory."""
        super().start()
        if self.disposable:
            self.url: str = self.url + "?daystore_synchronous=full"


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
    "sql-durable": SqlDurableTarget,
    "sql-memory": SqlMemoryTarget,
}


def installed() -> list[Target]:
    """Return the targets that are tried when none is named: those of daystore that are installed."""
    return [MemoryTarget(), *([SqlTarget()] if find_spec("daystore_sql") else [])]


def resolve(text: str, url: str | None = None, image: str | None = None) -> Target:
    """Find a target.

    Args:
        text: The name of a built-in target or of an entry point of the group ``daystore.compliance``, a URL,
            ``module:attribute``, or ``mutant:Name`` for one of the suite's own mutants.
        url: Where the backend of a named target is; the target is then called with it.
        image: Of which container the server of a named target has to be; the target is then called with it.

    Raises:
        LookupError: If nothing answers to it; the message says what does.
    """
    given = {name: value for name, value in {"url": url, "image": image}.items() if value is not None}
    if len(given) > 1:
        raise LookupError("a URL names a server that runs, an image one to start: give one of them")
    target = _found(text, given)
    target.text = text if url is None else url
    return target


def _found(text: str, given: Mapping[str, str]) -> Target:
    if text == "sql" and (kind := given.get("url", "sqlite").partition(":")[0].partition("+")[0]) != "sqlite":
        # The servers that the SQL backend speaks to are targets of their own.
        text = "postgresql" if kind == "postgres" else kind
    if text in BUILTIN:
        return _made(BUILTIN[text], text, given)
    if text == "wire":
        from daystore_compliance.wire.target import WireTarget

        return _made(WireTarget, text, given)
    if "://" in text:
        return UrlTarget(text)
    found = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    if text in found:
        return _made(found[text].load(), text, given)
    module, colon, attribute = text.partition(":")
    if module == "mutant" and attribute:
        return _mutant(attribute)
    if colon and module and attribute:
        try:
            return _made(getattr(importlib.import_module(module), attribute), text, given)
        except (ImportError, AttributeError) as error:
            raise LookupError(f"no target at {text!r}: {error}") from error
    names = ", ".join(sorted({*BUILTIN, "wire", *found}))
    raise LookupError(f"no target is called {text!r}: there are {names}; or give a URL, or module:attribute")


def _mutant(name: str) -> Target:
    from daystore_compliance.mutants import load

    try:
        return load()[name].target()
    except KeyError:
        raise LookupError(f"no mutant is called {name!r}: 'daystore selftest --list' names them") from None


def _made(made: Any, text: str, given: Mapping[str, str]) -> Target:
    if url := given.get("url"):
        try:
            target = made(url)
        except TypeError as error:
            raise LookupError(f"the target {text!r} takes no URL: {error}") from error
    elif image := given.get("image"):
        try:
            target = made(image=image)
        except TypeError as error:
            raise LookupError(f"the target {text!r} has no image: {error}") from error
    else:
        target = made() if isinstance(made, type) else made
    if isinstance(target, Target):
        return target
    raise LookupError(f"{text!r} is a {type(target).__name__}, not a daystore_compliance.Target")
