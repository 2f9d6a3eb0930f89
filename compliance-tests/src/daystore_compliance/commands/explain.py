"""``daystore explain``: what one case promises, how it is tried, and which mutants it finds out."""

from __future__ import annotations

import inspect
import sys
from difflib import get_close_matches

from daystore_compliance.case import Case
from daystore_compliance.certificate.profiles import PROFILES, profile_of
from daystore_compliance.certificate.verdict import Exit
from daystore_compliance.pending import PENDING
from daystore_compliance.suite import load

__all__ = ["explain"]


def explain(case: str, *, source: bool = True) -> int:
    """Tell what a case promises, how it is tried, and which mutants it finds out.

    Args:
        case: Its id; a variant in brackets is passed over.
        source: Whether to show its code.
    """
    name = case.partition("[")[0]
    registry = load()
    if name in PENDING:
        sys.stdout.write(f"{name}\n{PENDING[name].promise}\nPending: {PENDING[name].reason}.\n")
        return 0
    if name not in registry:
        near = get_close_matches(name, registry, n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "'daystore cases' lists all of them"
        sys.stderr.write(f"there is no case {name!r}: {hint}\n")
        return Exit.NOTHING
    sys.stdout.write(_told(registry[name], source=source))
    return 0


def _told(case: Case, *, source: bool) -> str:
    from daystore_compliance.mutants import load as load_mutants

    profile = profile_of(case)
    lines = [case.id, case.promise, ""]
    lines.append(f"profile   {profile} ({PROFILES[profile]})")
    lines.append(f"level     {case.level}, since contract {case.since}")
    for title, names in (
        ("requires", case.requires),
        ("without", case.undeclared),
        ("needs", case.needs),
        ("variants", case.variants),
    ):
        if names:
            lines.append(f"{title:9} {', '.join(sorted(names))}")
    found = {
        name: one.breaks
        for name, one in load_mutants().items()
        if case.id in {killer.partition("[")[0] for killer in one.killed_by}
    }
    if found:
        lines += ["", f"It finds out {len(found)} of the suite's own mutants:"]
    lines += [f"  {name}: {breaks}" for name, breaks in sorted(found.items())]
    if source:
        lines += ["", inspect.getsource(case.body).rstrip()]
    return "\n".join(lines) + "\n"
