"""``daystore selftest``: put the suite itself on trial."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from rich.progress import Progress

from daystore_compliance.certificate.verdict import Exit
from daystore_compliance.mutants import load
from daystore_compliance.selftest.matrix import FILE, matrix_text, read_matrix
from daystore_compliance.selftest.report import self_test

__all__ = ["selftest"]


def selftest(
    *,
    quick: bool = False,
    seed: int = 0,
    seeds: int | None = None,
    workers: int | None = None,
    list_only: bool = False,
    write: bool = False,
) -> int:
    """Put the suite itself on trial: every mutant found out by the cases named for it, every case by a mutant.

    Ends with 5 if the suite is not to be trusted.

    Args:
        quick: One mutant a case.
        seed: What random choices are made from.
        seeds: With how many seeds the reference is tried for flakes; 20, or 1 if quick.
        workers: Processes to run at the same time; as many as there are processors.
        list_only: Only list the mutants, and what each breaks.
        write: Write the kill matrix that comes with the suite anew.
    """
    if list_only:
        for name, mutant in load().items():
            sys.stdout.write(f"{name}: {mutant.breaks} [{', '.join(mutant.killed_by)}]\n")
        return 0
    started = time.monotonic()
    with Progress(transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("mutants", total=None)
        report = self_test(
            quick=quick,
            seed=seed,
            seeds=seeds if seeds is not None else (1 if quick else 20),
            workers=workers,
            committed=None if write else read_matrix(),
            progress=lambda done, of, what: bar.update(task, completed=done, total=of, description=what),
        )
    if write and not quick and not report.problems:
        (Path(__file__).parents[1] / FILE).write_text(matrix_text(report.matrix), encoding="utf-8")
    for name, killers in sorted(report.matrix.items()):
        sys.stdout.write(f"{name}: {', '.join(killers) or 'NOT FOUND OUT'}\n")
    for problem in report.problems:
        sys.stdout.write(f"PROBLEM {problem}\n")
    counts = ", ".join(f"{count} {what}" for what, count in report.counts.items())
    verdict = "the suite finds out what it must" if not report.problems else "the suite is not to be trusted"
    sys.stdout.write(f"{counts}; {time.monotonic() - started:.0f} s; {verdict}\n")
    return Exit.SELFTEST if report.problems else 0
