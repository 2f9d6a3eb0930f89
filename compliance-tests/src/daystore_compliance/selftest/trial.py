"""One mutant on trial: the same case, with the same seed, on the original and on the mutant.

The original passes and the mutant does not: that is the proof that the two differ, and that the case sees it. Only
an assertion of the case counts. A crash or a hang proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from daystore.abc import Capabilities
from daystore.adapters.memory import MemoryAdapter
from daystore.codec.serializers.json import JSONSerializer
from daystore.storage import Storage
from daystore.stores import Store
from daystore_compliance import run as running
from daystore_compliance.case import REGISTRY, obstacle
from daystore_compliance.certificate.results import name_of
from daystore_compliance.mutants.base import MUTANTS, Mutant, MutantTarget, Stepwise
from daystore_compliance.mutants.capabilities import Minimal
from daystore_compliance.plan import Plan
from daystore_compliance.target import MemoryTarget, Target
from daystore_compliance.wire.target import WireTarget

__all__ = ["Trial", "declared", "named", "original", "try_mutant"]

_ORIGINALS: Final[tuple[type[Any], ...]] = (
    *(Minimal, Stepwise, MemoryAdapter, JSONSerializer, Store, Storage),
    *(WireTarget, MemoryTarget),
)


@dataclass(slots=True)
class Trial:
    """What became of one mutant.

    Attributes:
        mutant: Its name.
        killers: The cases that found it out, ``id[variant]`` where one variant did.
        problems: What is wrong with it, or with the cases named for it.
    """

    mutant: str
    killers: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def original(mutant: Mutant) -> Target:
    """Return what a mutant was made from, which breaks nothing."""
    base = next(kind for kind in _ORIGINALS if issubclass(mutant.part, kind))
    return base() if issubclass(base, Target) else MutantTarget(base)


def named(mutant: Mutant) -> list[tuple[str, str | None]]:
    """Return the cases that have to find a mutant out, each with the variant that has to."""
    found = []
    for killer in mutant.killed_by:
        case_id, _, variant = killer.partition("[")
        found.append((case_id, variant.removesuffix("]") or None))
    return found


def _variants_of(case_id: str, variant: str | None) -> Iterable[str | None]:
    """Return the variants to run: the one that is named, or all."""
    return (variant,) if variant is not None else REGISTRY[case_id].variants or (None,)


def try_mutant(name: str, *, seed: int = 0, only: str | None = None) -> Trial:
    """Try a mutant.

    Args:
        name: Of the mutant.
        seed: What random choices are made from.
        only: Of the cases named for it, only this one.
    """
    mutant, trial = MUTANTS[name], Trial(name)
    plan = Plan(seed=seed, search_only=True)
    for case_id, variant in named(mutant):
        if only is not None and case_id != only:
            continue
        killer, variants = name_of(case_id, variant), _variants_of(case_id, variant)
        outcomes = [_outcome(mutant.target(), case_id, one, plan) for one in variants]
        if "killed" not in outcomes:
            told = ", ".join(sorted(set(outcomes)))
            trial.problems.append(f"{name} is not found out by {killer}, which is named for it: {told}")
            continue
        trial.killers.append(killer)
        for one in variants:
            on_original = _on_original(name, case_id, one, seed)
            if on_original not in ("passed", "not made"):
                trial.problems.append(f"{killer} fails on the original of {name}, too: {on_original}")
    return trial


def _on_original(name: str, case_id: str, variant: str | None, seed: int) -> str:
    base = original(MUTANTS[name])
    key = (base.name, case_id, variant, seed)
    if key not in _KNOWN:
        _KNOWN[key] = _outcome(base, case_id, variant, Plan(seed=seed, search_only=True))
    return _KNOWN[key]


_KNOWN: Final[dict[tuple[str, str, str | None, int], str]] = {}
"""What became of cases on originals: many mutants have the same one."""


def _outcome(target: Target, case_id: str, variant: str | None, plan: Plan) -> str:
    """Run one case: ``killed`` by an assertion, ``passed``, ``not made``, or the error that is no verdict."""
    case = REGISTRY[case_id]
    with target.running():
        if obstacle(case, target, declared(target)) is not None:
            return "not made"
        try:
            running.run_case(case, target, variant=variant, plan=plan)
        except AssertionError:
            return "killed"
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is no verdict
            return type(error).__name__
    return "passed"


def declared(target: Target) -> Capabilities:
    """Return what the adapter of a mutant, or of an original, declares."""
    capabilities = getattr(target, "adapter", MemoryAdapter).capabilities
    assert isinstance(capabilities, Capabilities)
    return capabilities
