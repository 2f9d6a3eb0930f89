"""A server as a local process: an installed binary, a free port, and a directory that goes with it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Final

from daystore_compliance.services.server import Server, ServiceUnavailable, filled_url, free_ports
from daystore_compliance.services.service import LocalProcess, Service, fill

__all__ = ["ProcessServer", "born", "find", "missing"]

_PLACES: Final = ("usr/local/sbin", "usr/sbin", "sbin", "usr/lib/postgresql/*/bin", "opt/homebrew/opt/*/bin")
"""Where servers are that are on nobody's path; of several versions the newest is taken."""
_PATIENCE: Final = 10.0
_LOG: Final = "server.log"


def find(binary: str) -> str | None:
    """Return the path of a binary: on the search path, or where servers usually are."""
    if found := shutil.which(binary):
        return found
    here = [
        path for place in _PLACES for path in Path("/").glob(f"{place}/{binary}") if os.access(path, os.X_OK)
    ]
    return str(max(here, key=_version)) if here else None


def _version(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in path.parts if part.isdecimal())


def missing(local: LocalProcess) -> list[str]:
    """Return the binaries that a local server takes and that are not here."""
    return [binary for binary in local.binaries if find(binary) is None]


class ProcessServer(Server):
    """A server that this process has started.

    Args:
        service: With a local process whose binaries are all here.
        directory: Where to keep its data; a temporary directory unless given. It is removed at the end.
    """

    kind: ClassVar[str] = "process"

    def __init__(self, service: Service, directory: Path | None = None) -> None:
        self._ports = free_ports(service.ports)
        super().__init__(service, filled_url(service, self._ports))
        assert service.local is not None
        self._local: LocalProcess = service.local
        self._directory = directory
        self._processes: list[subprocess.Popen[bytes]] = []
        self._settled = not self._local.settle

    @property
    def record(self) -> Mapping[str, str]:
        """Its processes, with the instants of their births, and its directory."""
        processes = " ".join(f"{one.pid}:{born(one.pid)}" for one in self._processes)
        stop = str(int(self._local.stop))
        return {"processes": processes, "directory": str(self._directory), "stop": stop}

    @property
    def obituary(self) -> str | None:
        """How the first of its processes ended that has."""
        ended = [one for one in self._processes if one.poll() is not None]
        return f"{_name(ended[0])} ended with {ended[0].returncode}" if ended else None

    @property
    def log(self) -> str:
        """The output of all its commands."""
        path = self._directory and self._directory / _LOG
        return path.read_text(errors="replace") if path and path.is_file() else ""

    def start(self) -> None:
        """Make the directory, prepare it, and start the processes."""
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix=f"daystore-{self.service.name}-"))
        for name, content in self._local.files.items():
            (self._directory / name).write_text(self._filled(content))
        (self._directory / _LOG).touch()
        if user := self._user:
            for path in (self._directory, *self._directory.iterdir()):
                shutil.chown(path, user.pw_uid, user.pw_gid)
        for command in self._local.prepare:
            if code := self._spawn(command).wait(self.service.startup):
                raise self._unavailable(f"could not be prepared: {command[0]} ended with {code}", None)
        self.resume()

    def resume(self) -> None:
        """Start the processes."""
        self._processes = [self._spawn(one) for one in (self._local.command, *self._local.beside)]

    def restart(self) -> None:
        """Start it again, and again where what is left of the killed one is still in the way.

        Raises:
            ServiceUnavailable: If it does not become ready.
        """
        for last in (False, False, True):
            try:
                super().restart()
            except ServiceUnavailable:
                if last or self.obituary is None:
                    raise
                self.kill()
            else:
                return

    def settle(self) -> bool:
        """Run the commands that need a server that runs; return whether all of them have succeeded."""
        if not self._settled:
            commands = self._local.settle
            self._settled = all(self._spawn(one).wait(self.service.startup) == 0 for one in commands)
        return self._settled

    def stop(self) -> None:
        """End the processes, and remove the directory."""
        for one in self._processes:
            _send(one, self._local.stop)
        for one in self._processes:
            with suppress(subprocess.TimeoutExpired):
                one.wait(_PATIENCE)
        self.kill()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def kill(self) -> None:
        """Kill the processes, and what they have started."""
        for one in self._processes:
            _send(one, signal.SIGKILL)
            one.wait()
        self._processes = []

    def _spawn(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        assert self._directory is not None
        path = find(command[0])
        if path is None:
            raise ServiceUnavailable(f"{command[0]} is not installed")
        user = self._user
        environment = {**os.environ, "HOME": str(self._directory), "LC_ALL": "C.UTF-8"}
        with (self._directory / _LOG).open("ab") as log:
            return subprocess.Popen(
                [path, *map(self._filled, command[1:])],
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # a Ctrl-C in the terminal is for the run, which then ends the server
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
            )

    def _filled(self, text: str) -> str:
        user = self._user or pwd.getpwuid(os.getuid())
        return fill(text, self._ports, directory=str(self._directory), user=user.pw_name)

    @property
    def _user(self) -> pwd.struct_passwd | None:
        """Who runs it, if that is somebody else than this process."""
        if self._local.user is None or os.getuid() != 0:
            return None
        try:
            return pwd.getpwnam(self._local.user)
        except KeyError:
            return pwd.getpwnam("nobody")


def _name(process: subprocess.Popen[bytes]) -> str:
    arguments = process.args
    assert isinstance(arguments, list)
    return Path(str(arguments[0])).name


def _send(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.poll() is None or number == signal.SIGKILL:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)


def born(pid: int) -> str:
    """Return what tells a process from a later one of the same number; empty if there is none."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    ps = [find("ps") or "ps", "-o", "lstart=", "-p", str(pid)]
    told = subprocess.run(ps, capture_output=True, text=True, check=False).stdout
    return "_".join(told.split())
