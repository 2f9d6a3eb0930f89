"""Waivers: cases that are known to fail, each with a reason, an issue and a day on which the patience ends."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["FILE_NAME", "Waiver", "WaiverError", "read_waivers", "stale_waivers"]

FILE_NAME: Final = "compliance-waivers.toml"
_KEYS: Final = ("case", "reason", "issue", "expires")


class WaiverError(ValueError):
    """A file of waivers that does not say what it has to."""


@dataclass(frozen=True, slots=True)
class Waiver:
    """One case that may fail for a while.

    Attributes:
        case: Its id.
        reason: Why it fails.
        issue: Where the work on it is followed.
        expires: The last day on which it is waived.
    """

    case: str
    reason: str
    issue: str
    expires: dt.date


def read_waivers(path: Path) -> dict[str, Waiver]:
    """Read a file of waivers.

    Returns:
        The waivers by the id of their case.

    Raises:
        WaiverError: If it cannot be read, or a waiver lacks something.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WaiverError(f"{path.name}: {error}") from error
    found: dict[str, Waiver] = {}
    for position, entry in enumerate(content.get("waiver", []), start=1):
        made = _waiver(entry, f"{path.name}, waiver {position}")
        if made.case in found:
            raise WaiverError(f"{path.name}: {made.case} is waived twice")
        found[made.case] = made
    if unknown := content.keys() - {"waiver"}:
        raise WaiverError(
            f"{path.name}: unknown entry {min(unknown)!r}; a waiver is a table under [[waiver]]"
        )
    return found


def _waiver(entry: Mapping[str, object], where: str) -> Waiver:
    if missing := [key for key in _KEYS if not entry.get(key)]:
        raise WaiverError(f"{where}: it has to say {', '.join(_KEYS)}, and lacks {', '.join(missing)}")
    if unknown := entry.keys() - set(_KEYS):
        raise WaiverError(f"{where}: unknown key {min(unknown)!r}")
    expires = entry["expires"]
    if not isinstance(expires, dt.date) or isinstance(expires, dt.datetime):
        raise WaiverError(f"{where}: expires is a day, such as 2027-01-31, without quotes")
    return Waiver(str(entry["case"]), str(entry["reason"]), str(entry["issue"]), expires)


def stale_waivers(
    waivers: Mapping[str, Waiver], known: Collection[str], passed: Collection[str], today: dt.date
) -> list[str]:
    """Say which waivers are not to be there any more.

    Args:
        waivers: By the id of their case.
        known: Ids of all cases.
        passed: Ids of cases that passed, every variant of them.
        today: The day on which this is asked.
    """
    told = []
    for case_id, waiver in waivers.items():
        if case_id not in known:
            told.append(f"the waiver of {case_id}: there is no such case")
        elif waiver.expires < today:
            told.append(f"the waiver of {case_id} ended on {waiver.expires.isoformat()}")
        elif case_id in passed:
            told.append(f"the waiver of {case_id}: the case passes, so it needs none")
    return told
