"""The servers of one run: started by its main process, used by all, and ended with it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from daystore_compliance.services import undo
from daystore_compliance.services.container import sweep
from daystore_compliance.services.target import ServiceTarget
from daystore_compliance.target import Target

__all__ = ["SharedServers"]

_RUN: Final = "run:"
"""Beside the names of targets, and no name itself."""


class SharedServers:
    """The servers that the targets of a run need.

    Args:
        targets: Of the run.
    """

    def __init__(self, targets: Sequence[Target]) -> None:
        self._run = uuid.uuid4().hex
        self._targets = [target for target in targets if isinstance(target, ServiceTarget)]

    def start(self, target: Target) -> None:
        """Start the server of a target, if it needs one.

        Raises:
            ServiceUnavailable: If there is none.
        """
        if isinstance(target, ServiceTarget):
            undo.watch(self)
            target.run = self._run
            target.serve()

    @property
    def known(self) -> dict[str, str]:
        """What other processes of the run have to know: the URLs by the names of targets, and the run."""
        urls = {target.name: target.shared for target in self._targets if target.shared is not None}
        return {**urls, _RUN: self._run}

    def use(self, known: Mapping[str, str]) -> None:
        """Use the servers that the main process of the run has started, which told what it knows."""
        for target in self._targets:
            target.run = known[_RUN]
            target.use(known[target.name])

    def stop(self) -> None:
        """End what was started, and what processes of the run may have left."""
        contained = any(target.kind == "container" for target in self._targets)
        for target in self._targets:
            target.withdraw()
        if contained:
            with suppress(Exception):  # the engine has gone, and its containers with it
                sweep(self._run)
        undo.forget(self)
