"""Mutants that take storage of any layout for their own. They go beside FileTarget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from daystore.adapters.memory import MemoryAdapter
from daystore.errors import BackendUnavailable
from daystore_compliance.mutants.base import mutant
from daystore_compliance.mutants.crashes import FileAdapter, FileTarget

LAYOUT: Final = "1"


class Stamped(FileAdapter):
    """The reference in a file, beside which the version of its layout stands. It breaks nothing."""

    async def _open(self) -> None:
        stamp = self.path.with_suffix(".layout")
        found = stamp.read_text() if stamp.exists() else ""
        if found > LAYOUT:
            self.meet_future()
        stamp.write_text(found or LAYOUT)
        await super()._open()

    def meet_future(self) -> None:
        """Do what is done with storage of a newer version: refuse it."""
        raise BackendUnavailable("a newer layout", backend=self.name, operation="open", retryable=False)


class StampedTarget(FileTarget):
    """A target of stamped files. It breaks nothing."""

    name = "stamped"
    hooks: frozenset[str] = FileTarget.hooks | {"fresh", "future"}
    adapter: type[MemoryAdapter] = Stamped

    def from_the_future(self) -> Callable[[], None]:
        """Stamp every file with a version that is still to come; return what takes that back."""
        stamps = [path.with_suffix(".layout") for path in self._paths]
        for stamp in stamps:
            stamp.write_text("9")

        def back() -> None:
            for stamp in stamps:
                stamp.write_text(LAYOUT)

        return back


class _TakesAny(Stamped):
    def meet_future(self) -> None:
        """Hope for the best."""


@mutant("life.layout_unknown")
class OpensAnyLayout(StampedTarget):
    """A layout from the future is opened as if it were known."""

    adapter: type[_TakesAny] = _TakesAny


class _Downgrades(Stamped):
    def meet_future(self) -> None:
        """Refuse it, and begin anew."""
        self.path.unlink(missing_ok=True)
        super().meet_future()


@mutant("life.layout_unknown")
class EmptiesUnknownLayouts(StampedTarget):
    """A layout from the future is refused, and what it held is removed so that the next opening works."""

    adapter: type[_Downgrades] = _Downgrades


class _TryAgain(Stamped):
    def meet_future(self) -> None:
        """Refuse it for now."""
        raise BackendUnavailable("a newer layout", backend=self.name, operation="open", retryable=True)


@mutant("life.layout_unknown")
class PromisesToKnowLater(StampedTarget):
    """A layout from the future is said to be a matter of time."""

    adapter: type[_TryAgain] = _TryAgain
