"""The backends that money is moved across: their servers, and the proxies through which they are reached."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

from daystore.abc import StorageAdapter, system_clock
from daystore_compliance.proxy.server import FaultProxy
from daystore_compliance.target import Target, resolve

__all__ = ["Backend", "opened", "proxied", "started"]

ALIASES = {"sqlite": "sql"}


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend that has been started.

    Attributes:
        name: Unlike that of any other one.
        target: How it is reached directly.
        can_die: Whether it has a server of its own that can be killed.
    """

    name: str
    target: Target
    can_die: bool


@contextmanager
def started(names: Sequence[str], progress: Callable[[str], None]) -> Iterator[list[Backend]]:
    """Start backends, and end them with the block.

    Args:
        names: Of their targets, or ``sqlite``. One that comes twice is two backends.
        progress: Told which one is being started.

    Raises:
        LookupError: If one is not known, or other processes cannot reach it.
        ServiceUnavailable: If a server cannot be started.
    """
    with ExitStack() as stack:
        backends: list[Backend] = []
        for name in names:
            target = resolve(ALIASES.get(name, name))
            if "process" not in target.hooks:
                raise LookupError(
                    f"{name!r} cannot be reached by several processes, so no money is moved there"
                )
            can_die = "crash" in target.hooks
            if can_die:
                target = target.private()
            progress(name)
            stack.enter_context(target.running())
            twin = sum(one.name.partition("#")[0] == name for one in backends)
            backends.append(Backend(f"{name}#{twin + 1}" if twin else name, target, can_die))
        yield backends


@asynccontextmanager
async def proxied(backends: Sequence[Backend]) -> AsyncIterator[tuple[dict[str, str], dict[str, FaultProxy]]]:
    """Put a proxy before each server; give the URLs that other processes use, and the proxies, by name."""
    async with AsyncExitStack() as stack:
        urls: dict[str, str] = {}
        proxies: dict[str, FaultProxy] = {}
        for backend in backends:
            target = backend.target
            if "proxy" in target.hooks:
                proxy = await stack.enter_async_context(FaultProxy(*target.address))
                proxies[backend.name] = proxy
                target = target.at(proxy.host, proxy.port)
            urls[backend.name] = target.elsewhere()
        yield urls, proxies


@asynccontextmanager
async def opened(backends: Sequence[Backend], namespace: str) -> AsyncIterator[Mapping[str, StorageAdapter]]:
    """Open every backend, past the proxies."""
    async with AsyncExitStack() as stack:
        adapters: dict[str, StorageAdapter] = {}
        for backend in backends:
            adapter = await backend.target.open(namespace, system_clock)
            stack.push_async_callback(adapter.close)
            adapters[backend.name] = adapter
        yield adapters
