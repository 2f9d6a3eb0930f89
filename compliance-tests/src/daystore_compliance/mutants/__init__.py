"""Backends that break one promise each, and the cases that must find them out.

A suite that lets one of them pass certifies nothing. Every mutant is a subclass of the reference adapter.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Final

from daystore_compliance.mutants.base import MUTANTS, Mutant, MutantTarget, mutant

__all__ = ["MODULES", "MUTANTS", "Mutant", "MutantTarget", "load", "mutant"]

MODULES: Final = tuple(sorted(module.name for module in iter_modules(__path__) if module.name != "base"))
"""The modules of this package that hold mutants."""


def load() -> dict[str, Mutant]:
    """Import every module of mutants, and return all mutants by name."""
    for module in MODULES:
        import_module(f"{__name__}.{module}")
    return MUTANTS
