"""The whole trial of the suite: mutants, originals, cases that prove nothing, harness, and the matrix."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field

from daystore_compliance import mutants, suite
from daystore_compliance.case import REGISTRY
from daystore_compliance.mutants.base import MUTANTS
from daystore_compliance.selftest.harness import HARNESS, problems
from daystore_compliance.selftest.matrix import lost_kills
from daystore_compliance.selftest.seeds import flakes
from daystore_compliance.selftest.trial import Trial, named, try_mutant

__all__ = ["Report", "quick_pairs", "self_test"]

Progress = Callable[[int, int, str], None]
"""Told how much of how much is done, and of what."""


@dataclass(slots=True)
class Report:
    """What the trial found.

    Attributes:
        matrix: The cases that find out each mutant.
        problems: What is wrong, in a line each; empty if the suite is to be trusted.
        counts: How many of what were tried.
    """

    matrix: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


def quick_pairs() -> list[tuple[str, str]]:
    """Choose one mutant for each case: the first that names the case first, else the first that names it."""
    chosen: dict[str, tuple[int, str]] = {}
    for name, mutant in MUTANTS.items():
        for place, (case_id, _) in enumerate(named(mutant)):
            if case_id not in chosen or (place == 0 < chosen[case_id][0]):
                chosen[case_id] = (place, name)
    return [(name, case_id) for case_id, (_, name) in chosen.items()]


def self_test(
    *,
    quick: bool,
    seed: int = 0,
    seeds: int = 1,
    workers: int | None = None,
    committed: dict[str, list[str]] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Put the suite on trial.

    Args:
        quick: One mutant a case, and no other cases than the one it is for.
        seed: What random choices are made from.
        seeds: With how many seeds the originals are tried for flakes.
        workers: Processes to run at the same time; as many as there are processors unless given.
        committed: The matrix that no row may fall short of; ``None`` to compare with none.
        progress: Told how far it is, if somebody wants to know.
    """
    suite.load()
    mutants.load()
    report = Report()
    report.problems += _unproven()
    with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
        waiting = list(_submit(pool, quick=quick, seed=seed))
        waiting += [
            ("originals", pool.submit(flakes, number, quick=quick)) for number in range(seed, seed + seeds)
        ]
        waiting.append(("harness", pool.submit(_harness)))
        _gather(waiting, report, progress)
    if committed is not None:
        report.problems += _shrunk(committed, report.matrix, quick=quick)
    report.problems.sort()
    report.counts = {
        "mutants": len(report.matrix),
        "kills": sum(map(len, report.matrix.values())),
        "cases": len(REGISTRY),
        "harness": len(HARNESS),
        "seeds": seeds,
    }
    return report


def _submit(pool: ProcessPoolExecutor, *, quick: bool, seed: int) -> Iterator[tuple[str, Future[object]]]:
    if quick:
        for name, case_id in quick_pairs():
            yield name, pool.submit(try_mutant, name, seed=seed, only=case_id)
    else:
        for name in MUTANTS:
            yield name, pool.submit(try_mutant, name, seed=seed)


def _gather(waiting: list[tuple[str, Future[object]]], report: Report, progress: Progress | None) -> None:
    names: dict[Future[object], str] = {future: name for name, future in waiting}
    for done, future in enumerate(as_completed(names), start=1):
        try:
            found = future.result()
        except Exception as error:  # noqa: BLE001 -- it is told, and the others go on
            report.problems.append(f"{names[future]}: the trial crashed: {type(error).__name__}: {error}")
            found = []
        if isinstance(found, Trial):
            row = report.matrix.setdefault(found.mutant, [])
            row += [killer for killer in found.killers if killer not in row]
            report.problems += found.problems
        elif isinstance(found, list):
            report.problems += found
        if progress is not None:
            progress(done, len(waiting), names[future])


def _harness() -> list[str]:
    return list(problems())


def _unproven() -> list[str]:
    """List the cases that no mutant is named for, and the names of cases that do not exist."""
    killers = {case_id for mutant in MUTANTS.values() for case_id, _ in named(mutant)}
    return [
        *(
            f"{case_id}: no mutant is found out by it, so nothing shows that it can fail"
            for case_id in REGISTRY.keys() - killers
        ),
        *(
            f"{case_id}: a mutant names it, and there is no such case"
            for case_id in killers - REGISTRY.keys()
        ),
    ]


def _shrunk(committed: dict[str, list[str]], found: dict[str, list[str]], *, quick: bool) -> list[str]:
    if not quick:
        return lost_kills(committed, found)
    told = [f"{name}: not in the committed matrix" for name in found.keys() - committed.keys()]
    return told + [f"{name}: the mutant is gone" for name in committed.keys() - MUTANTS.keys()]
