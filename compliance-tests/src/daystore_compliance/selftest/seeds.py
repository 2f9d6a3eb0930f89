"""The originals with other seeds: a case that fails one of them is flaky, or wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from daystore_compliance.case import REGISTRY, obstacle
from daystore_compliance.certificate.results import name_of
from daystore_compliance.mutants.base import MutantTarget, Stepwise
from daystore_compliance.mutants.capabilities import Minimal
from daystore_compliance.plan import Plan
from daystore_compliance.run import run_case
from daystore_compliance.selftest.trial import declared
from daystore_compliance.target import MemoryTarget, Target
from daystore_compliance.wire.target import WireTarget

__all__ = ["ORIGINALS", "flakes"]


def _stepwise() -> Target:
    return MutantTarget(Stepwise)


def _minimal() -> Target:
    return MutantTarget(Minimal)


ORIGINALS: Final[dict[str, Any]] = {
    "memory": MemoryTarget,
    "stepwise": _stepwise,
    "minimal": _minimal,
    "wire": WireTarget,
}
"""What mutants are made from, by name."""


def flakes(seed: int, *, quick: bool = False) -> list[str]:
    """Run every case on the originals; return what failed.

    Args:
        seed: What random choices are made from. All originals are tried with seed 0, the reference with others.
        quick: Only the reference.
    """
    names = ORIGINALS if seed == 0 and not quick else ("memory",)
    return [told for name in names for told in _failures(name, seed)]


def _failures(name: str, seed: int) -> Iterator[str]:
    target: Target = ORIGINALS[name]()
    with target.running():
        for case_id, case in REGISTRY.items():
            if obstacle(case, target, declared(target)) is not None:
                continue
            for variant in case.variants or (None,):
                try:
                    run_case(case, target, variant=variant, plan=Plan(seed=seed))
                except Exception as error:  # noqa: BLE001 -- it is told
                    where = name_of(case_id, variant)
                    yield f"{name} fails {where} with seed {seed}: {type(error).__name__}: {error}"
