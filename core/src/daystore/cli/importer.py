"""``daystore import``: bring existing histories of agents into a storage."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from daystore.cli.output import print_line
from daystore.errors import ConfigError
from daystore.importing import BATCH, IfExists, Survey, import_file, survey
from daystore.importing import Progress as Imported

if TYPE_CHECKING:
    from daystore.storage import Storage

__all__ = ["import_transcripts", "import_with_progress", "say_count"]

_SECONDS_BETWEEN_LINES = 2.0
_IDS_SHOWN = 3
_GO_ON = "The same command goes on from there."


async def import_transcripts(
    file: Path,
    /,
    *,
    url: str | None = None,
    config: Path | None = None,
    type: str = "chat",  # noqa: A002 - the name of the option
    batch: Annotated[int, Parameter(validator=Number(gte=1))] = BATCH,
    if_exists: IfExists = "skip",
) -> int:
    """Import existing histories of agents.

    Each run becomes a context, and each of its messages an entry of the context's memory, kept exactly. A run is
    written whole or not at all, and importing a file again goes on where the last import ended.

    The file is .json (a list of runs) or .jsonl (one run a line), each perhaps with .gz. A run is an object with
    its messages under 'traj' or 'messages', or just the list of its messages. A message is an object with a
    'role', as in the chat-completions format.

    Args:
        file: What to import: .json (a list of runs) or .jsonl (one run a line), with .gz if it is compressed.
        url: The backend to import into, such as sqlite:///agent.db.
        config: The configuration that names the backend, instead of the one that is found.
        type: Type of the contexts of runs that name none.
        batch: Most records that are written at once.
        if_exists: What to do with a run whose id is in the storage already.
    """
    started = time.perf_counter()
    storage = _storage(url, config)
    checked = await asyncio.to_thread(survey, file)
    async with storage:
        done = await import_with_progress(
            storage, file, checked, default_type=type, batch=batch, if_exists=if_exists
        )
    for line in _summary(done, file, time.perf_counter() - started):
        print_line(line)
    async with _storage(url, config) as again:
        if not await again.contexts.count():
            print_line("This backend keeps nothing beyond the process, so all of it is gone again.")
    return 0


def _storage(url: str | None, config: Path | None) -> Storage:
    from daystore.config import is_configured
    from daystore.storage import Storage

    if url is not None and config is not None:
        raise ConfigError("give --url or --config, not both: each of them says where to import to")
    if url is not None:
        return Storage.open(url)
    if config is None and not is_configured(os.environ):
        raise ConfigError(
            "say where to import to: --url sqlite:///agent.db, or --config with a configuration"
        )
    return Storage.from_config(config)


async def import_with_progress(
    storage: Storage,
    file: Path,
    checked: Survey,
    *,
    default_type: str = "chat",
    batch: int = BATCH,
    if_exists: IfExists = "skip",
) -> Imported:
    """Import a file and show how far it is, on the standard error.

    Args:
        storage: An open storage.
        file: What to import.
        checked: What `survey` said of the file.
        default_type: As for `import_file`.
        batch: As for `import_file`.
        if_exists: As for `import_file`.
    """
    latest = Imported()

    def show(done: Imported) -> None:
        nonlocal latest
        latest = done
        report(done)

    try:
        with _reporter(checked) as report:
            return await import_file(
                storage, file, default_type=default_type, batch=batch, if_exists=if_exists, progress=show
            )
    except BaseException:
        if latest.imported + latest.replaced:
            _tell(
                f"{say_count(latest.imported + latest.replaced, 'run')} written, each of them whole. {_GO_ON}"
            )
        raise


@contextmanager
def _reporter(checked: Survey) -> Iterator[Callable[[Imported], None]]:
    """Show progress: a bar on a terminal, otherwise a line now and then."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(checked)
        return
    columns = (
        TextColumn("Importing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("runs, {task.fields[messages]:,} messages"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=checked.runs, messages=0)
        yield lambda done: bar.update(task, completed=done.runs_seen, messages=done.messages_seen)


class _Lines:
    """Progress for a log: a line now and then."""

    def __init__(self, checked: Survey) -> None:
        self._checked = checked
        self._last = time.monotonic()

    def __call__(self, done: Imported) -> None:
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = now
            of = f"{done.runs_seen:,} of {say_count(self._checked.runs, 'run')}"
            _tell(f"{of}, {say_count(done.messages_seen, 'message')}")


def _summary(done: Imported, file: Path, seconds: float) -> Iterator[str]:
    written = say_count(done.imported + done.replaced, "run")
    yield f"{written} with {say_count(done.messages, 'message')} imported from {file} in {seconds:.1f} s."
    if done.replaced:
        yield f"{say_count(done.replaced, 'run')} of them replaced what was there."
    if done.unchanged:
        yield f"{say_count(done.unchanged, 'run')} left out, imported before."
    if done.differing:
        ids = ", ".join(done.differing[:_IDS_SHOWN]) + (", …" if len(done.differing) > _IDS_SHOWN else "")
        yield (
            f"{say_count(len(done.differing), 'run')} LEFT OUT: under their ids there is something else ({ids}). "
            "To replace it: --if-exists overwrite. To keep both: import into another namespace, with the "
            "parameter daystore_namespace of the URL or the key namespace of the configuration."
        )


def say_count(number: int, what: str) -> str:
    """Say how many there are: ``1 run``, ``5,308 messages``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
