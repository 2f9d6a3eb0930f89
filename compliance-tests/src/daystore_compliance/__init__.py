"""The certification suite of daystore: every backend is held to the same contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from daystore_compliance.clock import ManualClock
    from daystore_compliance.equality import same_answer, strict_eq
    from daystore_compliance.plan import Plan
    from daystore_compliance.proxy import FaultProxy
    from daystore_compliance.reproduce.source import source_of
    from daystore_compliance.target import Raw, Target, resolve
    from daystore_compliance.wrappers import ApplyThenRaise, Latency, PartialSuccess

__all__ = [
    "ApplyThenRaise",
    "FaultProxy",
    "Latency",
    "ManualClock",
    "PartialSuccess",
    "Plan",
    "Raw",
    "Target",
    "resolve",
    "same_answer",
    "source_of",
    "strict_eq",
]

_HOMES: Final = {
    "ApplyThenRaise": "wrappers",
    "FaultProxy": "proxy",
    "Latency": "wrappers",
    "PartialSuccess": "wrappers",
    "ManualClock": "clock",
    "Plan": "plan",
    "Raw": "target",
    "Target": "target",
    "resolve": "target",
    "same_answer": "equality",
    "source_of": "reproduce.source",
    "strict_eq": "equality",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for; daystore and pytest load this package in processes that need none of it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
