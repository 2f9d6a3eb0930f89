"""The sub-command ``daystore demo``."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Self

from daystore.cli.demo.screen import Screen
from daystore.cli.demo.steps import Demo
from daystore.cli.importer import say_count
from daystore.config.secrets import mask_url
from daystore.errors import ConfigError, UnknownAdapter
from daystore.importing import Survey, survey

__all__ = ["SAMPLE", "demo"]

SAMPLE = "sample-transcripts.json"
"""Name of the transcripts that come with daystore, in its folder ``data``."""

_NEXT = (
    ("daystore import FILE --url sqlite:///agent.db", "bring in your own histories"),
    ("daystore plugins", "which backends are installed"),
    ("daystore config show", "backends and stores by name"),
    ("README.md", "a quick start, and choosing a backend by name"),
    ("docs/contract.md", "what every backend promises"),
    ("docs/architecture.md", "how the parts fit together"),
)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the demo writes.

    Attributes:
        url: The backend.
        namespace: A namespace that nothing else uses.
        directory: The temporary directory of the database, if there is one.
    """

    url: str
    namespace: str
    directory: Path | None = None

    @classmethod
    def temporary(cls) -> Self:
        """Make a directory for a SQLite database."""
        directory = Path(tempfile.mkdtemp(prefix="daystore-demo-"))
        return cls(f"sqlite:///{(directory / 'demo.db').as_posix()}", "demo", directory)

    def __str__(self) -> str:
        return f"{mask_url(self.url)}, namespace {self.namespace}"

    async def remove(self, shown: Demo) -> None:
        """Delete everything that the demo wrote."""
        if self.directory is None:
            await shown.clean()
        else:
            shutil.rmtree(self.directory)


async def demo(*, transcripts: Path | None = None, url: str | None = None, keep: bool = False) -> int:
    """See the main job: stored, killed, found again.

    Ends with 1 if anything does not come out as promised.

    Args:
        transcripts: Runs of agents to import, instead of those that come with daystore; see 'daystore import'.
        url: A backend to run on, instead of SQLite in a temporary directory.
        keep: Keep what the demo writes, to look at it.
    """
    started = time.perf_counter()
    screen = Screen()
    with as_file(files("daystore") / "data" / SAMPLE) as sample:
        file = sample if transcripts is None else transcripts
        checked = await asyncio.to_thread(survey, file)
        place = _Place.temporary() if url is None else _Place(url, f"demo-{secrets.token_hex(4)}")
        _introduce(
            screen, place, checked, "the sample that comes with daystore" if file is sample else str(file)
        )
        shown = Demo(screen, place.url, place.namespace)
        ok = await _run(shown, place, file, checked)
    if not ok:
        screen.bad("Something did not come out as promised. What was written is kept, to be looked at:")
        screen.line(str(place))
        return 1
    if not keep:
        await place.remove(shown)
    screen.step("What to look at next")
    screen.table(("run or read", "for"), _NEXT, wide="for")
    left = "What it wrote is kept:" if keep else "What it wrote is deleted; --keep keeps it."
    screen.say(f"This demo took {time.perf_counter() - started:.1f} s. {left}")
    if keep:
        screen.line(str(place))
    return 0


def _introduce(screen: Screen, place: _Place, checked: Survey, source: str) -> None:
    screen.title("daystore: storage for AI agents")
    where = "SQLite, in a temporary directory" if place.directory else str(place)
    screen.say(
        f"{say_count(checked.runs, 'run')} of agents, {say_count(checked.messages, 'message')}, "
        f"from {source}. On {where}."
    )


async def _run(shown: Demo, place: _Place, file: Path, checked: Survey) -> bool:
    """Run the demo; where it cannot go on, delete a temporary directory, and tell of anything else."""
    try:
        return await shown.run(file, checked)
    except BaseException as error:
        if place.directory is not None:
            shutil.rmtree(place.directory)
        elif not isinstance(error, ConfigError):
            sys.stderr.write(f"What the demo wrote until now is in {place}\n")
        if place.directory is not None and isinstance(error, UnknownAdapter):
            raise ConfigError(f"{error}; without it there is: daystore demo --url memory://") from error
        raise
