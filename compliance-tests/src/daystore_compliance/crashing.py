"""Processes that die by count: each kills itself at a line of Python that was chosen before, never by chance.

`carry_out` starts one process that has everything imported. For each order that one forks another, which opens
the target, works through a scenario, tells what was acknowledged, and dies of ``SIGKILL``: at the line that was
ordered, or right after something was told. One that is ordered neither works to its end, and tells how many lines
there are. Forking is cheap, so a case can afford to die at many lines. It needs POSIX.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import signal
import subprocess
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from pkgutil import resolve_name
from types import FrameType
from typing import IO, Any, Final, NoReturn, TypeAlias

from daystore.abc import StorageAdapter
from daystore_compliance.clock import ManualClock
from daystore_compliance.target import Target, resolve

__all__ = ["Death", "Lines", "Order", "Work", "carry_out", "serve", "spread"]

Tell: TypeAlias = Callable[[Any], None]

_SECONDS: Final = 15
"""After so many the forked process is ended: it hangs."""

_REHEARSALS: Final = 2
"""Times that a scenario is worked through before the first fork, so that everything is imported and compiled."""

_LIBRARY: Final = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})
_PACKAGES: Final = ("site-packages", "dist-packages")


class Lines:
    """Counts the lines of Python that run, on every thread, but for those of the standard library.

    Threads are counted that start inside `counting`.

    Args:
        point: The number of the line at which the process kills itself; ``None`` to live.
    """

    def __init__(self, point: int | None = None) -> None:
        self.count: int = 0
        self._point = point
        self._next = count(1).__next__  # one step of the interpreter, so no thread loses a line of another
        self._armed = False
        self._counted: dict[str, bool] = {}

    def arm(self) -> None:
        """Begin to count."""
        self._armed = True

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Watch this thread, and those that it starts, inside the block."""
        outer, others = sys.gettrace(), threading.gettrace()
        sys.settrace(self._enter)
        threading.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(outer)
            threading.settrace(others)

    def _enter(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        name = frame.f_code.co_filename
        counted = self._counted.get(name)
        if counted is None:
            counted = self._counted[name] = _is_counted(name)
        return self._line if counted else None

    def _line(self, _frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line" and self._armed:
            self.count = self._next()
            if self.count == self._point:
                _die()
        return self._line


def _is_counted(name: str) -> bool:
    if name == __file__ or name.startswith("<"):
        return False
    return not name.startswith(_LIBRARY) or any(packages in name for packages in _PACKAGES)


def _die() -> None:
    """End this process as nothing can prevent: nothing is flushed, nothing is closed."""
    os.kill(os.getpid(), signal.SIGKILL)


def spread(first: int, last: int, number: int) -> list[int]:
    """Return so many numbers from `first` to `last`, both included, evenly spread, none of them twice."""
    if number < 2 or last <= first:
        return [first]
    return sorted({first + (last - first) * step // (number - 1) for step in range(number)})


# --- What a process is to do ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Order:
    """What one process is to do.

    Attributes:
        target: What `resolve` makes the target of; see `Target.elsewhere`.
        namespace: Where it works.
        scenario: What it does: ``module:function``, a coroutine function that takes a `Work`.
        number: Tells this run from others.
        now: The instant at which its clock stands.
        line: Dies at this line after `Work.arm`; ``None`` for none.
        told: Dies right after so many things were told; ``None`` for none.
    """

    target: str
    namespace: str
    scenario: str
    number: int = 0
    now: int = 0
    line: int | None = None
    told: int | None = None


@dataclass(frozen=True, slots=True)
class Death:
    """What became of one process.

    Attributes:
        told: What it told, in order.
        lines: Lines that were counted when each of them was told.
        total: Lines that were counted up to its end; ``None`` if it was killed.
    """

    told: list[Any]
    lines: list[int]
    total: int | None

    @property
    def was_killed(self) -> bool:
        """Whether it killed itself before its end."""
        return self.total is None


class Work:
    """What a scenario gets: the target, an open adapter, and how to tell what was acknowledged.

    Attributes:
        target: The target.
        adapter: An open adapter in the namespace that was ordered.
        number: See `Order`.
    """

    def __init__(
        self, target: Target, adapter: StorageAdapter, number: int, arm: Callable[[], None], tell: Tell
    ) -> None:
        self.target = target
        self.adapter = adapter
        self.number = number
        self._arm = arm
        self._tell = tell

    def arm(self) -> None:
        """Count lines from here on."""
        self._arm()

    def tell(self, what: Any) -> None:
        """Tell something that JSON can say, so that it is known whatever happens then."""
        self._tell(what)


def carry_out(order: Order) -> Death:
    """Have an order carried out by a process of its own.

    Before the first order of a scenario its work is done twice over, to its end: begin with an order that counts
    for nothing.

    Raises:
        AssertionError: If it failed, hung, or died of something else than its own hand.
    """
    answer = _Crasher.of_this_process().ask(order)
    assert "error" not in answer, f"in another process:\n{answer['error']}"
    death = Death([one for one, _ in answer["told"]], [lines for _, lines in answer["told"]], answer["total"])
    expected = -signal.SIGKILL if death.was_killed else 0
    assert answer["status"] == expected, f"the process ended with {answer['status']}, not {expected}"
    return death


class _Crasher:
    """The process that forks the others; one for the life of this process, ended with it."""

    _made: _Crasher | None = None

    def __init__(self) -> None:
        path = os.pathsep.join(dict.fromkeys(filter(None, sys.path)))
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        atexit.register(self.end)

    @classmethod
    def of_this_process(cls) -> _Crasher:
        """Return the one that there is, or start it."""
        if cls._made is None or cls._made._process.poll() is not None:
            cls._made = cls()
        return cls._made

    def ask(self, order: Order) -> dict[str, Any]:
        """Give an order and wait for what became of it."""
        orders, answers = self._process.stdin, self._process.stdout
        assert orders is not None
        assert answers is not None
        orders.write(json.dumps(asdict(order)) + "\n")
        orders.flush()
        line = answers.readline()
        assert line, "the process that starts others has ended"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> None:
        """End it."""
        self._process.communicate()


# --- The process that forks, and those that die --------------------------------------------------------------


def serve(orders: IO[str], answers: IO[str]) -> None:
    """Carry out orders, one a line, until there are no more; for ``python -m daystore_compliance.crashing``."""
    known: set[tuple[str, str]] = set()
    for line in orders:
        order = Order(**json.loads(line))
        try:
            answer = _carried_out(order, known)
        except Exception:  # noqa: BLE001 -- whoever gave the order is told
            answer = {"error": traceback.format_exc(), "told": [], "total": None, "status": 0}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _carried_out(order: Order, known: set[tuple[str, str]]) -> dict[str, Any]:
    if (order.target, order.scenario) not in known:
        signal.alarm(_SECONDS)
        for _ in range(_REHEARSALS):
            asyncio.run(_work(order, Lines(), lambda _: None))
        signal.alarm(0)
        known.add((order.target, order.scenario))
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        _child(order, writer)
    os.close(writer)
    with os.fdopen(reader) as reports:
        lines = [json.loads(line) for line in reports]
    _, status = os.waitpid(child, 0)
    answer: dict[str, Any] = {"told": [], "total": None, "status": os.waitstatus_to_exitcode(status)}
    for line in lines:
        answer["told"].append(line["told"]) if "told" in line else answer.update(line)
    return answer


def _child(order: Order, writer: int) -> NoReturn:
    """Carry out an order in this process, and end it."""
    signal.alarm(_SECONDS)
    lines = Lines(order.line)
    told = 0

    def report(**what: Any) -> None:
        os.write(writer, json.dumps(what).encode() + b"\n")

    def tell(what: Any) -> None:
        nonlocal told
        report(told=[what, lines.count])
        told += 1
        if told == order.told:
            _die()

    status = 1
    try:
        with lines.counting():
            asyncio.run(_work(order, lines, tell))
        report(total=lines.count)
        status = 0
    except BaseException:  # noqa: BLE001 -- whoever gave the order is told
        report(error=traceback.format_exc())
    finally:
        os._exit(status)


async def _work(order: Order, lines: Lines, tell: Tell) -> None:
    target = resolve(order.target)
    adapter = await target.open(order.namespace, ManualClock(order.now))
    await resolve_name(order.scenario)(Work(target, adapter, order.number, lines.arm, tell))
    await adapter.close()


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
