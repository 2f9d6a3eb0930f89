"""The versions of the contract: which cases each has, frozen by id when it was released.

A case is never weakened and its id never used again. One that is added later is run, and does not count for an
older version; one that is missing makes every certificate impossible.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from daystore_compliance.case import Case
from daystore_compliance.certificate.profiles import profile_of

__all__ = ["CURRENT", "Contract", "contract", "freeze", "versions"]

CURRENT: Final = "1.0"
_FOLDER: Final = files("daystore_compliance") / "contracts"


@dataclass(frozen=True, slots=True)
class Contract:
    """One version.

    Attributes:
        version: Such as ``"1.0"``.
        cases: Ids of its cases, by profile.
        requirements_sha256: Of ids, levels and promises: what exactly was asked.
    """

    version: str
    cases: Mapping[str, tuple[str, ...]]
    requirements_sha256: str

    @property
    def ids(self) -> frozenset[str]:
        """Ids of all its cases."""
        return frozenset(case_id for ids in self.cases.values() for case_id in ids)

    def lost(self, registry: Mapping[str, Case]) -> list[str]:
        """List the cases of this version that the suite does not have any more: there must be none."""
        return sorted(self.ids - registry.keys())


def versions() -> list[str]:
    """List the versions that can be certified for, oldest first."""
    found = [entry.name.removesuffix(".toml") for entry in _FOLDER.iterdir() if entry.name.endswith(".toml")]
    return sorted(found, key=_number)


def contract(version: str, registry: Mapping[str, Case]) -> Contract:
    """Read a version.

    Args:
        version: Such as ``"1.0"``.
        registry: The cases of the suite.

    Raises:
        LookupError: If there is no such version; the message lists those there are.
    """
    if version not in versions():
        raise LookupError(f"there is no contract {version!r}: there are {', '.join(versions())}")
    frozen = tomllib.loads((_FOLDER / f"{version}.toml").read_text(encoding="utf-8"))
    cases = {profile: tuple(ids) for profile, ids in frozen["cases"].items()}
    return Contract(version, cases, _digest(cases, registry))


def _digest(cases: Mapping[str, tuple[str, ...]], registry: Mapping[str, Case]) -> str:
    lines = [
        f"{profile}\t{case_id}\t{registry[case_id].level}\t{registry[case_id].promise}\n"
        for profile in sorted(cases)
        for case_id in sorted(cases[profile])
        if case_id in registry
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def freeze(version: str, registry: Mapping[str, Case]) -> str:
    """Write down which cases a version has: those that were promised up to it.

    Returns:
        The text of its file in ``contracts``.

    Raises:
        ValueError: If the version is none, such as ``"1.0"``.
    """
    by_profile: dict[str, list[str]] = {}
    for case_id, case in sorted(registry.items()):
        if _number(case.since) <= _number(version):
            by_profile.setdefault(profile_of(case), []).append(case_id)
    lines = [
        f'# Written by "daystore cases --freeze-as {version}".',
        f'contract = "{version}"',
        "",
        "[cases]",
    ]
    for profile, ids in sorted(by_profile.items()):
        lines += [f"{profile} = [", *(f'    "{case_id}",' for case_id in ids), "]"]
    return "\n".join(lines) + "\n"


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
