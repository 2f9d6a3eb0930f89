"""The cases, one module for each part of the contract.

Run them with ``python -m pytest --pyargs daystore_compliance.suite --daystore-target NAME``.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Final

from daystore_compliance.case import REGISTRY, Case

__all__ = ["MODULES", "load"]

MODULES: Final = tuple(sorted(module.name for module in iter_modules(__path__)))
"""The modules of this package: every one of them holds cases."""


def load() -> dict[str, Case]:
    """Import every module of cases, and return all cases by id."""
    for module in MODULES:
        import_module(f"{__name__}.{module}")
    return REGISTRY
