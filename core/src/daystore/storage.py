"""`Storage`: what an agent holds. Backends and stores by name; only it begins transactions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, cast, overload

from daystore.abc.adapter import Health, StorageAdapter
from daystore.abc.coordination import Participant
from daystore.errors import ConfigError, DaystoreError
from daystore.query.fields import unknown
from daystore.stores.contexts import ContextStore
from daystore.stores.definition import Definition, StoreOptions
from daystore.stores.events import EventStore
from daystore.stores.memories import MemoryStore
from daystore.stores.store import Store
from daystore.transactions.recovery import Recovery
from daystore.transactions.retry import DEFAULT, Retry
from daystore.transactions.transaction import Transaction, run

if TYPE_CHECKING:
    from daystore.config.models import MiddlewareConfig, StoreConfig
    from daystore.plugins import Plugins

__all__ = ["Storage"]

T = TypeVar("T")
R = TypeVar("R")

OWN = ("contexts", "memories", "events")
"""The stores that every storage has."""


class Storage:
    """Stores on one or several backends: ``async with Storage.open("sqlite:///agent.db") as storage``.

    Make one with `open` or `from_config`; give adapters of your own to the class itself.

    Args:
        backends: The adapters by name. The storage opens and closes them.
        default: The backend of stores whose configuration names none; the first one unless given.
        coordinator: The backend that decides over transactions on several backends; unless given, the first
            durable one that such a transaction uses, or the first one. All processes that share the data give
            the same names to their backends.
        stores: How stores are configured, by name.
        plugins: Where serializers, codecs and middleware are found; the installed plugins unless given.

    Raises:
        ConfigError: If there is no backend, or the default or a store names one that is not there.
    """

    def __init__(
        self,
        backends: Mapping[str, StorageAdapter],
        *,
        default: str | None = None,
        coordinator: str | None = None,
        stores: Mapping[str, StoreConfig] | None = None,
        plugins: Plugins | None = None,
    ) -> None:
        if not backends:
            raise ConfigError("a storage needs at least one backend")
        self._backends = dict(backends)
        self._default = next(iter(backends)) if default is None else default
        self._coordinator = coordinator
        self._recovery: Recovery | None = None
        self._configured = dict(stores or {})
        self._plugins = plugins
        self._stores: dict[str, tuple[Definition, Store[Any]]] = {}
        for name in (
            self._default,
            *([coordinator] if coordinator else []),
            *(store.backend for store in self._configured.values()),
        ):
            if name not in self._backends:
                raise ConfigError(f"there is no backend {name!r}{unknown(name, self._backends)}")
        for adapter in self._backends.values():
            adapter.join(self._participant)

    def _participant(self, name: str) -> Participant | None:
        adapter = self._backends.get(name)
        coordinator = None if adapter is None else adapter.coordinator
        return None if coordinator is None else coordinator.participant

    @classmethod
    def open(cls, url: str, *, plugins: Plugins | None = None, **options: object) -> Self:
        """Make a storage on one backend, to be used with ``async with``.

        Args:
            url: The backend, such as ``sqlite:///agent.db`` or ``memory://``.
            plugins: As for the class.
            options: ``namespace``, ``timeout`` in seconds, ``coalesce``, and the backend's own.

        Raises:
            UnknownAdapter: If no installed plugin answers to the URL.
            ConfigError: If the URL or an option cannot be used, or the driver is not installed.
        """
        return cls({"main": _plugins(plugins).open_adapter(url, **options)}, plugins=plugins)

    @classmethod
    def from_config(
        cls,
        source: str | Path | Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        plugins: Plugins | None = None,
    ) -> Self:
        """Make a storage of a configuration, to be used with ``async with``.

        Args:
            source: A TOML or YAML file, or a mapping of the same form; where it is found without one, and how
                the environment comes in, is told in `daystore.config.load`.
            environ: The environment variables; the process's own unless given.
            plugins: As for the class.

        Raises:
            ConfigError: If there is no configuration, or mistakes are in it; the message lists all of them.
        """
        from daystore.config import load

        plugins = _plugins(plugins)
        config = load(source, environ, plugins=plugins).storage
        backends = {name: backend.make_adapter(plugins) for name, backend in config.backends.items()}
        return cls(
            backends,
            default=config.default,
            coordinator=config.coordinator,
            stores=config.stores,
            plugins=plugins,
        )

    # --- Life -----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Open every backend.

        Raises:
            DaystoreError: If one cannot be opened; the others are closed again.
        """
        for name, adapter in self._backends.items():
            try:
                await adapter.open()
            except BaseException as error:
                error.add_note(f"while opening the backend {name!r}")
                await self.close()
                raise
        if self._recovery is None:
            self._recovery = Recovery(self._backends)
            self._recovery.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every backend."""
        await self.close()

    async def close(self) -> None:
        """Close every backend, also when closing one of them fails. Closing what is closed does nothing.

        Raises:
            DaystoreError: The first failure, with a note on each other one.
        """
        first: BaseException | None = None
        if self._recovery is not None:
            recovery, self._recovery = self._recovery, None
            await recovery.stop()
        for name, adapter in self._backends.items():
            try:
                await adapter.close()
            except BaseException as error:  # noqa: BLE001 - it is raised when all the others are closed
                error.add_note(f"while closing the backend {name!r}")
                if first is None:
                    first = error
                else:
                    first.add_note(f"the backend {name!r} could not be closed either: {type(error).__name__}")
        if first is not None:
            raise first

    async def health(self) -> dict[str, Health]:
        """Ask every backend how it is. Nothing is raised for one that does not answer: it is not healthy."""
        found = {}
        for name, adapter in self._backends.items():
            try:
                found[name] = await adapter.health()
            except DaystoreError as error:
                found[name] = Health(False, {"error": str(error)})
        return found

    def __repr__(self) -> str:
        backends = ", ".join(f"{name}={adapter.name}" for name, adapter in self._backends.items())
        return f"<{type(self).__name__} {backends}>"

    # --- Stores ---------------------------------------------------------------------------------------------

    @property
    def contexts(self) -> ContextStore:
        """The contexts an agent works in."""
        return cast("ContextStore", self._own("contexts"))

    @property
    def memories(self) -> MemoryStore[Any]:
        """What an agent remembers."""
        return cast("MemoryStore[Any]", self._own("memories"))

    @property
    def events(self) -> EventStore:
        """What happened."""
        return cast("EventStore", self._own("events"))

    @overload
    def store(self, name: str, type: None = None, **options: Unpack[StoreOptions]) -> Store[Any]: ...
    @overload
    def store(self, name: str, type: type[T], **options: Unpack[StoreOptions]) -> Store[T]: ...
    def store(
        self,
        name: str,
        type: Any = None,  # noqa: A002 - the contract's name
        **options: Unpack[StoreOptions],
    ) -> Store[Any]:
        """Return a store by name.

        It is made when its name is first used, of what is given here and what is configured.

        Args:
            name: Its name, and that of its collection unless told otherwise.
            type: The type of its values; ``None`` for any plain values.
            options: See `StoreOptions`. They win over the configuration.

        Returns:
            The same store for the same name. With the name alone, the store that has it, however it was made.

        Raises:
            ConfigError: If the name is taken by a store that was made in another way, or the options cannot
                be used.
            TypeError: If there is no such option.
        """
        definition = Definition.of(type, options)
        if name in OWN or name in self._stores:
            known = self._own(name) if name in OWN else self._stores[name][1]
            if (type is None and not options) or definition == self._stores[name][0]:
                return known
            raise ConfigError(f"the store {name!r} is there already, with another type or other options")
        return self._add(
            name, definition, Store(self._backend_of(name), name, type, **self._options(name, options))
        )

    def _own(self, name: str) -> Store[Any]:
        if name in self._stores:
            return self._stores[name][1]
        adapter, options = self._backend_of(name), self._options(name, {})
        store: Store[Any]
        if name == "contexts":
            store = ContextStore(adapter, name, memories=self.memories, **options)
        elif name == "memories":
            store = MemoryStore(adapter, name, **options)
        else:
            store = EventStore(adapter, name, **options)
        return self._add(name, Definition(), store)

    def _add(self, name: str, definition: Definition, store: Store[Any]) -> Store[Any]:
        self._stores[name] = (definition, store)
        return store

    def _backend_of(self, name: str) -> StorageAdapter:
        configured = self._configured.get(name)
        return self._backends[self._default if configured is None else configured.backend]

    def _options(self, name: str, given: StoreOptions) -> StoreOptions:
        """Return the options of a store: those given, then those configured."""
        options: StoreOptions = {"plugins": self._plugins}
        configured = self._configured.get(name)
        if configured is not None:
            options["collection"] = configured.collection
            options["serializer"] = configured.serializer
            options["consistency"] = configured.consistency
            options["ttl"] = configured.ttl
            if "middleware" not in given:
                options["middleware"] = [self._middleware(one) for one in configured.middleware]
        return {**options, **given}

    def _middleware(self, configured: MiddlewareConfig) -> object:
        from daystore.plugins.options import check_options

        plugins = _plugins(self._plugins)
        options, problems = check_options(plugins.middleware_model(configured.name), configured.options)
        if problems:
            raise ConfigError(f"the middleware {configured.name!r}: {problems[0]}")
        return plugins.middleware_class(configured.name)(**options)

    # --- Transactions ---------------------------------------------------------------------------------------

    @overload
    def transaction(self) -> Transaction: ...
    @overload
    def transaction(
        self,
        body: Callable[[Transaction], Awaitable[R]],
        *,
        attempts: int | None = None,
        deadline: float = DEFAULT.deadline,
    ) -> Coroutine[Any, Any, R]: ...
    def transaction(
        self,
        body: Callable[[Transaction], Awaitable[R]] | None = None,
        *,
        attempts: int | None = None,
        deadline: float = DEFAULT.deadline,
    ) -> Transaction | Coroutine[Any, Any, R]:
        """Begin a transaction, or run a function in one and try again after conflicts.

        ``async with storage.transaction() as tx:`` commits when the block ends well, and raises if another
        writer got in its way. ``await storage.transaction(body)`` runs ``body(tx)`` again then, with fresh
        reads.

        The function should do nothing that cannot be done twice, except through `tx`.

        Args:
            body: What to do.
            attempts: Most attempts; as many as fit before the deadline unless given.
            deadline: Seconds after which no further attempt is begun.

        Returns:
            A transaction to enter; or, with a function, what to await for its result.

        Raises:
            TransactionConflict: If another writer changed what was read (with a function, until the end).
                Nothing was applied.
            OutcomeUnknown: If it cannot be told whether it was applied. It is not tried again.
            TransactionClosed: If this task is in a transaction already.
        """
        if body is None:
            return self._new_transaction()
        return run(self._new_transaction, body, Retry(deadline, attempts))

    def _new_transaction(self) -> Transaction:
        return Transaction(self._find, self._backends, self._coordinator)

    def _find(self, name: str) -> Store[Any]:
        if name in OWN:
            return self._own(name)
        if name not in self._stores and name not in self._configured:
            known = {*OWN, *self._stores, *self._configured}
            raise ConfigError(f"the storage has no store {name!r}{unknown(name, known)}")
        return self.store(name)


def _plugins(plugins: Plugins | None) -> Plugins:
    if plugins is not None:
        return plugins
    from daystore.plugins import default_plugins

    return default_plugins()
