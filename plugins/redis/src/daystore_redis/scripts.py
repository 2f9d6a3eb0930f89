"""The scripts that the server runs, each known to it by the digest of its text."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Final

__all__ = ["COMMIT", "GRACE", "OPEN", "PREPARED", "READ", "SCRIPTS", "WRITE", "Script"]

GRACE: Final = 60_000
"""Milliseconds for which what has expired is kept, so that clocks which differ do not take what is alive."""
SWEPT: Final = 200
"""Records of a collection that are swept at once."""

_PRELUDE: Final = f"""local P = KEYS[1]
local NEVER = string.rep('\\255', 8)
local GRACE, SWEPT = {GRACE}, {SWEPT}
local NATIVE, PLAIN
"""
_NOTHING_TO_CHECK: Final = "local function failed_check() end\n"


@dataclass(frozen=True, slots=True)
class Script:
    """A script.

    Attributes:
        text: Its source.
        digest: By which the server knows it.
    """

    text: str
    digest: str


def _script(*parts: str) -> Script:
    folder = files(__package__) / "lua"
    texts = [(folder / part).read_text("utf-8") if part.endswith(".lua") else part for part in parts]
    text = "\n".join([_PRELUDE, *texts])
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


_WRITING: Final = ("records.lua", "changes.lua", "intents.lua")
WRITE: Final = _script(*_WRITING, _NOTHING_TO_CHECK, "write.lua")
COMMIT: Final = _script(*_WRITING, "judging.lua", "search.lua", "check.lua", "write.lua")
READ: Final = _script("records.lua", "judging.lua", "search.lua", "read.lua")
PREPARED: Final = _script("prepared.lua")
OPEN: Final = _script("open.lua")
SCRIPTS: Final = (OPEN, WRITE, COMMIT, READ, PREPARED)
