"""Servers that outlive the command that starts them: how they are written down, found and ended."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

from daystore_compliance.services import undo
from daystore_compliance.services.container import engine
from daystore_compliance.services.ladder import choose_server
from daystore_compliance.services.process import born
from daystore_compliance.services.server import described
from daystore_compliance.services.service import Service
from daystore_compliance.services.target import ServiceTarget
from daystore_compliance.target import ENTRY_POINTS

__all__ = ["Detached", "down", "known_services", "running", "up"]

_PATIENCE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Detached:
    """A server that was started and left running.

    Attributes:
        service: Name of its service.
        url: Where it is.
        kind: ``container`` or ``process``.
        record: By what it is found again; see `Server.record`.
    """

    service: str
    url: str
    kind: str
    record: Mapping[str, str]

    @property
    def is_there(self) -> bool:
        """Whether any of it still runs."""
        return bool(self._processes) if self.kind == "process" else _is_container(self.record["container"])

    def end(self) -> None:
        """End exactly what was started, and remove what it has left."""
        if self.kind == "container":
            with engine() as client, suppress(_not_found()):
                client.containers.get(self.record["container"]).remove(force=True, v=True)
            return
        for number in (signal.Signals(int(self.record["stop"])), signal.SIGKILL):
            for pid in self._processes:
                with suppress(ProcessLookupError):
                    os.killpg(pid, number)
            deadline = time.monotonic() + _PATIENCE
            while self._processes and time.monotonic() < deadline:
                time.sleep(0.05)
        shutil.rmtree(self.record["directory"], ignore_errors=True)

    @property
    def _processes(self) -> list[int]:
        """Those of its processes that run, and are no others of the same number."""
        recorded = [one.partition(":") for one in self.record["processes"].split()]
        return [int(pid) for pid, _, birth in recorded if birth and born(int(pid)) == birth]


def _is_container(identity: str) -> bool:
    try:
        with engine() as client:
            return bool(client.containers.get(identity).status == "running")
    except Exception:  # noqa: BLE001 -- no such container, or no engine
        return False


def _not_found() -> type[Exception]:
    from docker.errors import NotFound

    found: type[Exception] = NotFound
    return found


# --- What is written down ------------------------------------------------------------------------------------


def _folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "daystore" / "services"


def _file(service: str) -> Path:
    return _folder() / f"{service}.json"


def running() -> Iterator[Detached]:
    """Yield the servers that were started and still run; forget those that have gone."""
    for file in sorted(_folder().glob("*.json")):
        found = Detached(**json.loads(file.read_text()))
        if found.is_there:
            yield found
        else:
            file.unlink()


# --- Up and down ---------------------------------------------------------------------------------------------


def up(service: Service, image: str | None = None) -> Detached:
    """Start a server that goes on when this process ends; return the one that there is, if there is one.

    Raises:
        ServiceUnavailable: If there is no way to get one, or it does not become ready.
    """
    for one in running():
        if one.service == service.name:
            return one
    server = choose_server(service, image=image, run="detached")
    with undo.unless_kept(server) as keep:
        server.start()
        server.wait()
        made = Detached(service.name, server.url, server.kind, server.record)
        _folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        _file(service.name).write_text(json.dumps(asdict(made)))
        keep()
    return made


def down(service: str) -> bool:
    """End the server that `up` has started; return whether there was one."""
    for one in running():
        if one.service == service:
            one.end()
            _file(service).unlink()
            return True
    return False


def known_services() -> tuple[dict[str, Service], list[str]]:
    """Return the services of all installed targets, by name, and which targets cannot be loaded, and why."""
    found: dict[str, Service] = {}
    problems: list[str] = []
    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        try:
            target: Any = entry.load()
        except Exception as error:  # noqa: BLE001 -- one that is broken hides no other
            problems.append(f"the target {entry.name!r} cannot be loaded: {described(error)}")
            continue
        if isinstance(target, type) and issubclass(target, ServiceTarget):
            found[target.service.name] = target.service
    return found, problems
