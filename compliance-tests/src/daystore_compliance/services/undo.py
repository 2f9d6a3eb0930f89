"""What this process has started is ended with it: at its end, and when it is told to end by a signal."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final, Protocol

__all__ = ["Stoppable", "forget", "stopping", "unless_kept", "watch"]


class Stoppable(Protocol):
    """Whatever can be stopped, any number of times."""

    def stop(self) -> None:
        """Stop it."""


_RUNNING: Final[dict[int, tuple[int, Stoppable]]] = {}
"""What was started, with the process that did: one that is forked off ends nothing of its parent's."""


@contextmanager
def stopping(what: Stoppable) -> Iterator[None]:
    """Stop something at the end of the block, whatever ends the block or the process."""
    with unless_kept(what):
        yield


@contextmanager
def unless_kept(what: Stoppable) -> Iterator[Callable[[], None]]:
    """Do as `stopping`, unless what the block gets is called before its end."""
    kept = False

    def keep() -> None:
        nonlocal kept
        kept = True

    watch(what)
    try:
        yield keep
    finally:
        if not kept:
            what.stop()
        forget(what)


def watch(what: Stoppable) -> None:
    """Stop something when this process ends, unless `forget` is called before."""
    if not _RUNNING:
        _install()
    _RUNNING[id(what)] = (os.getpid(), what)


def forget(what: Stoppable) -> None:
    """Leave something alone from now on."""
    _RUNNING.pop(id(what), None)


def _install() -> None:
    atexit.unregister(_stop_all)
    atexit.register(_stop_all)
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminated)


def _terminated(number: int, _frame: FrameType | None) -> None:
    _stop_all()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _stop_all() -> None:
    while _RUNNING:
        _, (process, what) = _RUNNING.popitem()
        if process == os.getpid():
            with suppress(Exception):  # the others have to be stopped, too
                what.stop()
