"""``daystore simulate``: the coordinated commit in worlds where everything goes wrong."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from os import cpu_count

from rich.progress import Progress

from daystore_compliance.certificate.verdict import Exit
from daystore_compliance.simulation.crashes import Tally, requests_of, try_all
from daystore_compliance.simulation.mutants import MUTANTS
from daystore_compliance.simulation.run import UNSERIALIZABLE, Result, plan, run, shrink
from daystore_compliance.simulation.scenes import SCENES

__all__ = ["simulate"]

CHUNK = 250


def simulate(
    *,
    seeds: int = 2000,
    start: int = 0,
    mutants: bool = False,
    crashes: bool = False,
    workers: int | None = None,
) -> int:
    """Run the coordinated commit in simulated worlds, one a seed, and judge every history.

    The first seed that fails is made smaller and told with its history. Ends with 1 if one failed, with 5 if a
    mistake that was made on purpose was not found.

    Args:
        seeds: How many worlds.
        start: The first seed.
        mutants: Make mistakes in the protocol on purpose, one after the other, and see each of them found.
        crashes: Let a process die at every request of small transactions instead, and others meet what is left.
        workers: Processes to run at the same time; as many as there are processors.
    """
    started = time.monotonic()
    with (
        ProcessPoolExecutor(workers or cpu_count() or 1, mp_context=get_context("spawn")) as pool,
        Progress(transient=True, disable=not sys.stderr.isatty()) as bar,
    ):
        if mutants:
            return _mutants(pool, bar, started)
        if crashes:
            return _crashes(pool, bar, started)
        task = bar.add_task("worlds", total=seeds)
        acknowledged = 0
        failed: list[int] = []
        chunks = [pool.submit(_worlds, first, last) for first, last in _chunks(start, start + seeds)]
        for done in as_completed(chunks):
            committed, wrong = done.result()
            acknowledged += committed
            failed += wrong
            bar.advance(task, CHUNK)
    for seed in sorted(failed)[:1]:
        sys.stdout.write(_told(shrink(run(plan(seed)))))
    sys.stdout.write(
        f"{seeds} worlds from seed {start}, {acknowledged} operations acknowledged, {len(failed)} worlds failed"
        f"{': seeds ' + ', '.join(map(str, sorted(failed)[:20])) if failed else ''}; "
        f"{time.monotonic() - started:.0f} s\n"
    )
    return 1 if failed else 0


def _mutants(pool: ProcessPoolExecutor, bar: Progress, started: float) -> int:
    task = bar.add_task("mistakes", total=len(MUTANTS))
    missed = []
    for name, caught in pool.map(_caught, [mutant.name for mutant in MUTANTS]):
        bar.advance(task)
        if caught is None:
            missed.append(name)
        sys.stdout.write(f"{name}: {'NOT FOUND' if caught is None else f'found by seed {caught}'}\n")
    sys.stdout.write(
        f"{len(MUTANTS)} mistakes, {len(MUTANTS) - len(missed)} found; {time.monotonic() - started:.0f} s\n"
    )
    return Exit.SELFTEST if missed else 0


def _crashes(pool: ProcessPoolExecutor, bar: Progress, started: float) -> int:
    points = [(scene, at) for scene in SCENES for at in range(1, requests_of(scene) + 1)]
    task = bar.add_task("requests", total=len(points))
    tally = Tally()
    for done in as_completed([pool.submit(try_all, scene, at) for scene, at in points]):
        tally.add(done.result())
        bar.advance(task)
    sys.stdout.writelines(f"{problem}\n" for problem in sorted(tally.failed)[:20])
    sys.stdout.write(
        f"{len(SCENES)} transactions, {len(points)} requests; {tally.once} crash points, {tally.twice} more where "
        f"who met what was left died as well, {len(tally.failed)} failed; {time.monotonic() - started:.0f} s\n"
    )
    return 1 if tally.failed else 0


def _chunks(first: int, end: int) -> Iterator[tuple[int, int]]:
    for begin in range(first, end, CHUNK):
        yield begin, min(begin + CHUNK, end)


def _worlds(first: int, end: int) -> tuple[int, list[int]]:
    committed, failed = 0, []
    for seed in range(first, end):
        result = run(plan(seed))
        committed += result.committed
        if result.problem is not None:
            failed.append(seed)
    return committed, failed


def _caught(name: str) -> tuple[str, int | None]:
    mutant = next(one for one in MUTANTS if one.name == name)
    with mutant.made():
        for seed in range(mutant.budget):
            if run(mutant.plan(seed)).problem == UNSERIALIZABLE:
                return name, seed
    return name, None


def _told(result: Result) -> str:
    plan = result.plan
    lines = [f"seed {plan.seed}: {result.problem}", f"  {plan}"]
    for event in result.history:
        ended = "?" if event.ended is None else event.ended
        lines.append(f"  {event.process} {event.what} [{event.began}, {ended}]")
        for cell, value in event.reads.items():
            lines.append(f"    reads {'/'.join(cell)}: {value!r}")
        lines += [f"    scans {scan.store}: {dict(scan.found)!r}" for scan in event.scans]
        for cell, value in event.writes.items():
            lines.append(f"    {'deletes' if value is None else 'writes'} {'/'.join(cell)}: {value!r}")
    return "\n".join(lines) + "\n"
