"""The middleware of one store, composed once when the store is made.

What comes before the backend runs in the order of configuration, what comes after it in reverse, so that the
first one configured is the outermost. A hook that a middleware does not have costs nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

from daystore.abc.middleware import Middleware, MiddlewareContext
from daystore.abc.record import Delete, Outcome, Put, Record
from daystore.errors import ConfigError

__all__ = ["Chain"]

Hook: TypeAlias = Callable[..., Awaitable[Any]]

HOOKS: Final = ("before_read", "after_read", "before_write", "after_write", "on_error")


class Chain:
    """Hooks of several middleware, as one.

    Args:
        middleware: The middleware, in the order of configuration.

    Raises:
        ConfigError: If one of them has no hook at all.
    """

    __slots__ = ("_after_read", "_after_write", "_before_read", "_before_write", "_on_error")

    def __init__(self, middleware: Sequence[object]) -> None:
        for one in middleware:
            if not any(_has(one, hook) for hook in HOOKS):
                raise ConfigError(
                    f"{type(one).__name__} is no middleware: it has none of the hooks {', '.join(HOOKS)}"
                )
        backwards = middleware[::-1]
        self._before_read = _hooks(middleware, "before_read")
        self._before_write = _hooks(middleware, "before_write")
        self._after_read = _hooks(backwards, "after_read")
        self._after_write = _hooks(backwards, "after_write")
        self._on_error = _hooks(backwards, "on_error")

    async def before_read(self, context: MiddlewareContext) -> None:
        """Run before records are read. What a hook raises refuses the operation."""
        for hook in self._before_read:
            await hook(context)

    async def after_read(
        self, context: MiddlewareContext, records: list[Record | None]
    ) -> list[Record | None]:
        """Pass what was read through every hook, last configured first.

        Raises:
            TypeError: If a hook does not return as many records as it got.
        """
        for hook in self._after_read:
            records = _as_many(await hook(context, records), records, "after_read")
        return records

    async def before_write(
        self, context: MiddlewareContext, operations: list[Put | Delete]
    ) -> list[Put | Delete]:
        """Pass what is to be written through every hook, first configured first.

        Raises:
            TypeError: If a hook does not return as many operations as it got.
        """
        for hook in self._before_write:
            operations = _as_many(await hook(context, operations), operations, "before_write")
        return operations

    async def after_write(
        self, context: MiddlewareContext, operations: list[Put | Delete], outcomes: Sequence[Outcome]
    ) -> None:
        """Run after the backend acknowledged."""
        for hook in self._after_write:
            await hook(context, operations, outcomes)

    async def on_error(self, context: MiddlewareContext, error: BaseException) -> None:
        """Run when the operation failed. What a hook raises itself is noted on the error."""
        for hook in self._on_error:
            try:
                await hook(context, error)
            except Exception as failure:  # noqa: BLE001 - the error of the operation has to reach the caller
                error.add_note(f"on_error of a middleware failed too: {type(failure).__name__}")


def _has(one: object, hook: str) -> bool:
    """Tell whether a middleware has a hook of its own; those of the protocol itself do nothing."""
    method = getattr(type(one), hook, None) or getattr(one, hook, None)
    return callable(method) and method is not getattr(Middleware, hook)


def _hooks(middleware: Sequence[object], name: str) -> tuple[Hook, ...]:
    return tuple(_awaitable(getattr(one, name)) for one in middleware if _has(one, name))


def _awaitable(hook: Callable[..., Any]) -> Hook:
    if inspect.iscoroutinefunction(hook):
        return hook

    async def call(*arguments: object) -> Any:
        result = hook(*arguments)
        return await result if inspect.isawaitable(result) else result

    return call


def _as_many(returned: Any, given: list[Any], hook: str) -> list[Any]:
    if not isinstance(returned, list) or len(returned) != len(given):
        raise TypeError(f"{hook} of a middleware has to return a list of as many items as it was given")
    return returned
