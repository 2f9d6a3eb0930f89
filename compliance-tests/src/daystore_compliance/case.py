"""Cases: one promise of the contract each, under an id that is never used for anything else.

A case is a coroutine function that gets an `Env`. The decorator enters it into the registry and leaves a
plain function behind for pytest, so no asyncio plugin of the host has a say in how it runs.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Final

import pytest

from daystore.abc import Capabilities
from daystore_compliance.plan import Plan
from daystore_compliance.target import HOOKS, Target

__all__ = ["REGISTRY", "Case", "Level", "case", "obstacle"]

_ID = re.compile(r"[a-z]+(\.[a-z0-9_]+)+\Z")
_FLAGS: Final = frozenset(f.name for f in fields(Capabilities) if f.type == "bool")


class Level(StrEnum):
    """How binding a promise is."""

    MUST = "must"
    SHOULD = "should"


@dataclass(frozen=True, slots=True)
class Case:
    """One promise, and the code that tries it.

    Attributes:
        id: Permanent name, ``area.what``.
        promise: The promise in words: one line.
        body: Called with an `Env`, and with the variant where there are variants. A body that is no coroutine
            function gets a function to run coroutines as well, in second place; that is for Hypothesis.
        variants: What the body is run with, by name; empty for a body that is run once.
        requires: Capabilities without which the promise is not made.
        undeclared: Capabilities with which the promise, a refusal, is not made.
        needs: Hooks of the target without which the promise cannot be tested.
        level: See `Level`.
        since: The version of the contract that first had the promise.
    """

    id: str
    promise: str
    body: Callable[..., Any]
    variants: Mapping[str, Any]
    requires: frozenset[str]
    undeclared: frozenset[str]
    needs: frozenset[str]
    level: Level
    since: str

    @property
    def area(self) -> str:
        """The part of the contract it belongs to: the first part of the id."""
        return self.id.partition(".")[0]

    @property
    def is_async(self) -> bool:
        """Whether the body is a coroutine function."""
        return inspect.iscoroutinefunction(self.body)


REGISTRY: Final[dict[str, Case]] = {}
"""Every case that has been imported, by id. `daystore_compliance.suite.load` imports all of them."""


def case(
    id: str,  # noqa: A002 -- it is the word for it
    *,
    requires: Collection[str] = (),
    undeclared: Collection[str] = (),
    needs: Collection[str] = (),
    variants: Mapping[str, Any] | Collection[str] = (),
    level: Level = Level.MUST,
    since: str = "1.0",
) -> Callable[[Callable[..., Any]], Callable[..., None]]:
    """Enter a case into the registry.

    Args:
        id: See `Case`, as for all arguments but `variants`.
        requires: See `Case`.
        undeclared: See `Case`.
        needs: See `Case`.
        variants: A mapping from the name of a variant to what the body gets; or names that the body gets.
        level: See `Case`.
        since: See `Case`.

    Raises:
        ValueError: If the id is taken or malformed, a capability or a hook unknown, or the promise missing.
    """
    named = dict(variants) if isinstance(variants, Mapping) else {name: name for name in variants}

    def enter(body: Callable[..., Any]) -> Callable[..., None]:
        made = Case(
            id=id,
            promise=_promise(id, body),
            body=body,
            variants=named,
            requires=_known(requires, _FLAGS, "capability"),
            undeclared=_known(undeclared, _FLAGS, "capability"),
            needs=_known(needs, HOOKS, "hook"),
            level=level,
            since=since,
        )
        if not _ID.match(id):
            raise ValueError(f"the id of a case reads area.what, not {id!r}")
        if id in REGISTRY:
            raise ValueError(f"the id {id!r} is taken: an id is never used twice")
        REGISTRY[id] = made
        return _pytest_function(made)

    return enter


def _promise(id: str, body: Callable[..., Any]) -> str:  # noqa: A002 -- it is the word for it
    promise = inspect.getdoc(body)
    if not promise or "\n" in promise:
        raise ValueError(f"the docstring of case {id!r} is its promise, in one line")
    return promise


def _known(names: Collection[str], known: Collection[str], what: str) -> frozenset[str]:
    for name in names:
        if name not in known:
            raise ValueError(f"unknown {what} {name!r}: there are {', '.join(sorted(known))}")
    return frozenset(names)


def _pytest_function(made: Case) -> Callable[..., None]:
    def once(daystore_target: Target, daystore_plan: Plan) -> None:
        __tracebackhide__ = True
        from daystore_compliance.run import run_case

        run_case(made, daystore_target, plan=daystore_plan)

    def varied(daystore_target: Target, daystore_plan: Plan, daystore_variant: str) -> None:
        __tracebackhide__ = True
        from daystore_compliance.run import run_case

        run_case(made, daystore_target, variant=daystore_variant, plan=daystore_plan)

    function: Any = varied if made.variants else once
    function.__name__ = function.__qualname__ = made.body.__name__
    function.__module__ = made.body.__module__
    function.__doc__ = made.promise
    function.__test__ = True  # collected whatever the host calls its own tests
    function.daystore_case = made
    marked: Callable[..., None] = pytest.mark.daystore_case(made.id)(function)
    return marked


def obstacle(made: Case, target: Target, capabilities: Capabilities) -> str | None:
    """Say why a case does not apply to a target; ``None`` if it does.

    Returns:
        ``"undeclared: x"``, ``"declared: x"`` (when the case tries its refusal) or ``"not testable: x"``.
    """
    declared = set(capabilities.names())
    if missing := made.requires - declared:
        return f"undeclared: {', '.join(sorted(missing))}"
    if present := made.undeclared & declared:
        return f"declared: {', '.join(sorted(present))}"
    if hooks := made.needs - target.hooks:
        return f"not testable: {', '.join(sorted(hooks))}"
    return None
