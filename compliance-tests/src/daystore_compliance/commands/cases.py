"""``daystore cases``: every promise that the suite tries, and those that it cannot try yet."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path

from daystore_compliance.case import Case
from daystore_compliance.certificate.contract import freeze
from daystore_compliance.certificate.profiles import PROFILES, profile_of
from daystore_compliance.certificate.verdict import Exit
from daystore_compliance.pending import PENDING
from daystore_compliance.suite import load

__all__ = ["cases"]


def cases(*, md: bool = False, json: bool = False, profile: str = "", freeze_as: str = "") -> int:
    """List every promise that is tried, and those that cannot be tried yet.

    Args:
        md: Print Markdown.
        json: Print JSON.
        profile: Only these profiles, separated by commas.
        freeze_as: Write down which cases a version of the contract has, such as 1.0.
    """
    registry = load()
    if freeze_as:
        file = Path(__file__).parents[1] / "contracts" / f"{freeze_as}.toml"
        file.write_text(freeze(freeze_as, registry), encoding="utf-8")
        return 0
    wanted = {name for name in profile.split(",") if name} or PROFILES.keys()
    if unknown := wanted - PROFILES.keys():
        sys.stderr.write(f"there is no profile {min(unknown)!r}: there are {', '.join(PROFILES)}\n")
        return Exit.NOTHING
    found = {name: [one for one in registry.values() if profile_of(one) == name] for name in PROFILES}
    chosen = {name: sorted(ones, key=lambda one: one.id) for name, ones in found.items() if name in wanted}
    write = _as_json if json else _as_markdown if md else _as_text
    sys.stdout.write(write(chosen))
    return 0


def _as_text(chosen: dict[str, list[Case]]) -> str:
    width = max(map(len, (*load(), *PENDING)))
    lines = []
    for profile, found in chosen.items():
        lines.append(f"{profile}: {PROFILES[profile]} ({len(found)})")
        lines += [f"  {one.id:{width}}  {one.promise}{_remarks(one)}" for one in found]
    lines.append(f"pending ({len(PENDING)})")
    lines += [f"  {name:{width}}  {one.promise} Pending: {one.reason}." for name, one in PENDING.items()]
    return "\n".join(lines) + "\n"


def _remarks(one: Case) -> str:
    told = []
    if one.level != "must":
        told.append(str(one.level))
    if one.variants:
        told.append(f"{len(one.variants)} variants")
    if one.requires:
        told.append(f"requires {', '.join(sorted(one.requires))}")
    if one.undeclared:
        told.append(f"without {', '.join(sorted(one.undeclared))}")
    if one.needs:
        told.append(f"needs {', '.join(sorted(one.needs))}")
    return f" [{'; '.join(told)}]" if told else ""


def _as_markdown(chosen: dict[str, list[Case]]) -> str:
    lines = []
    for profile, found in chosen.items():
        lines += [f"## {profile}", "", f"{PROFILES[profile].capitalize()}.", "", "| case | promise |"]
        lines.append("| --- | --- |")
        lines += [f"| `{one.id}` | {_cell(one.promise + _remarks(one))} |" for one in found]
        lines.append("")
    lines += ["## Pending", "", "| case | promise | why not yet |", "| --- | --- | --- |"]
    lines += [f"| `{name}` | {_cell(one.promise)} | {one.reason} |" for name, one in PENDING.items()]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _as_json(chosen: dict[str, list[Case]]) -> str:
    content = {
        "cases": [
            {
                "id": one.id,
                "profile": profile,
                "promise": one.promise,
                "level": str(one.level),
                "since": one.since,
                "requires": sorted(one.requires),
                "undeclared": sorted(one.undeclared),
                "needs": sorted(one.needs),
                "variants": list(one.variants),
            }
            for profile, found in chosen.items()
            for one in found
        ],
        "pending": [
            {"id": name, "promise": one.promise, "reason": one.reason} for name, one in PENDING.items()
        ],
    }
    return json_module.dumps(content, indent=1, ensure_ascii=False) + "\n"
