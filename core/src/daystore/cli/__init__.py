"""The ``daystore`` command.

Exit codes: 0, done; 1, the command ran and found something wrong, or the backend failed; 2, the command line,
the configuration or the installation is at fault; 70, a defect of daystore or of a plugin; 130, interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

__all__ = ["main"]

_NEEDED = ("cyclopts", "rich")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: What stands behind ``daystore`` on the command line; the process's own by default.

    Returns:
        The exit code.
    """
    try:
        for module in _NEEDED:
            import_module(module)
    except ModuleNotFoundError:
        sys.stderr.write('daystore: the command needs an extra: pip install "daystore[cli]"\n')
        return 2
    from daystore.cli.app import run

    return run(sys.argv[1:] if arguments is None else arguments)
