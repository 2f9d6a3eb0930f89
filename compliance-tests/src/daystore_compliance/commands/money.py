"""``daystore money``: transfers across backends while processes and servers die, and the sums afterwards."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from daystore_compliance.certificate.verdict import Exit
from daystore_compliance.money.run import Outcome, move_money
from daystore_compliance.money.steps import MOMENTS, STEPS
from daystore_compliance.services.server import ServiceUnavailable

__all__ = ["money"]

BACKENDS = "redis-durable,postgresql,s3,mongo,sqlite"


def money(*, seconds: float = 120, processes: int = 8, backends: str = BACKENDS, seed: int = 0) -> int:
    """Move money across several backends while processes are killed, servers are, and replies are lost.

    In the end every account has what the records of the transfers say, every transfer that was acknowledged is
    there, and nothing of a transaction is left behind. Ends with 1 if not, with 3 if there is no server for one of
    the backends, and with 4 if one of them is not known or cannot take part.

    Args:
        seconds: For how long.
        processes: How many move money at the same time.
        backends: Targets of the suite, or "sqlite", separated by commas. Servers are started for them.
        seed: What random choices are made from.
    """
    started = time.monotonic()
    names = [name.strip() for name in backends.split(",") if name.strip()]
    try:
        with Progress(transient=True, disable=not sys.stderr.isatty()) as bar:
            task = bar.add_task("money", total=1.0)
            outcome = move_money(
                names,
                seconds=seconds,
                processes=processes,
                seed=seed,
                progress=lambda what, done: bar.update(task, completed=done, description=what),
            )
    except LookupError as error:
        sys.stderr.write(f"{error}\n")
        return Exit.NOTHING
    except ServiceUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return Exit.UNAVAILABLE
    Console().print(_table(outcome))
    for problem in outcome.problems[:40]:
        sys.stdout.write(f"PROBLEM {problem}\n")
    verdict = (
        f"{len(outcome.problems)} problems" if outcome.problems else "every sum is right, nothing is left"
    )
    sys.stdout.write(
        f"{len(names)} backends, {processes} processes, {time.monotonic() - started:.0f} s; {verdict}\n"
    )
    return 1 if outcome.problems else 0


def _table(outcome: Outcome) -> Table:
    words = outcome.words
    restarts = ", ".join(f"{name} {times}" for name, times in sorted(outcome.restarts.items()))
    table = Table(show_header=False)
    for what, value in (
        ("transfers acknowledged", words["moved"]),
        ("transfers with an unknown outcome", words["unknown"]),
        ("transfers that failed", words["failed"]),
        ("transfers and audits that gave up after conflicts", words["conflict"]),
        ("transfers that are recorded", outcome.kept),
        ("audits of all accounts", words["audited"]),
        ("processes killed from outside", outcome.killed),
        *((f"processes that died at {step}", _deaths(outcome, step)) for step in STEPS),
        ("servers killed and started again", restarts or "none"),
        ("servers spared, which do not keep their data", ", ".join(outcome.spared) or "none"),
        ("replies lost", outcome.lost),
        ("intents and status records left, and recovered", outcome.left),
    ):
        table.add_row(what, str(value))
    return table


def _deaths(outcome: Outcome, step: str) -> str:
    return ", ".join(f"{outcome.steps[f'{step} {moment}']} {moment} it" for moment in MOMENTS)
