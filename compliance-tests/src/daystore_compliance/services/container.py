"""A server in a container, started by testcontainers."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlsplit

from daystore_compliance.services.images import choose_image
from daystore_compliance.services.server import (
    LOOPBACK,
    Server,
    ServiceUnavailable,
    described,
    filled_url,
    free_ports,
)
from daystore_compliance.services.service import Service, fill

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

__all__ = ["RUN_LABEL", "ContainerServer", "engine", "no_engine", "sweep"]

RUN_LABEL: Final = "daystore.run"
"""Label of our containers; its value is the run that started them."""

# Read when testcontainers is imported. We remove what we have started ourselves, so its helper container, which
# would have to be pulled, is not needed; and our ports are on the loopback interface, wherever this process runs.
_SETTINGS: Final = {
    "TESTCONTAINERS_RYUK_DISABLED": "true",
    "TESTCONTAINERS_CONNECTION_MODE": "docker_host",
}
_PORT_TAKEN: Final = ("port is already allocated", "address already in use")
_ATTEMPTS: Final = 3
_SECONDS: Final = 5
_LONGEST: Final = 600
"""Seconds that the engine may take for one thing: a container of many small files is removed slowly."""


def no_engine() -> str | None:
    """Say why there can be no container; ``None`` if there can."""
    if find_spec("testcontainers") is None or find_spec("docker") is None:
        return "testcontainers is not installed: pip install 'daystore-compliance[docker]'"
    try:
        _knock()
        with engine(_SECONDS) as client:
            client.ping()
    except Exception as error:  # noqa: BLE001 -- whatever it is, there is no engine
        return f"no container engine answers ({described(error)})"
    return None


def _knock() -> None:
    """Try the engine's socket: docker's client leaves one open that it could not connect."""
    address = urlsplit(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    if address.scheme == "unix":
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.settimeout(_SECONDS)
            knocking.connect(address.path)


@contextmanager
def engine(timeout: int | None = None) -> Iterator[Any]:
    """Return a client of the container engine."""
    import docker
    from docker.constants import DEFAULT_TIMEOUT_SECONDS

    with closing(docker.from_env(timeout=timeout or DEFAULT_TIMEOUT_SECONDS)) as client:
        yield client


def sweep(run: str) -> None:
    """Remove the containers of a run that are left, such as those of a process that was killed."""
    with engine() as client:
        for container in client.containers.list(all=True, filters={"label": f"{RUN_LABEL}={run}"}):
            container.remove(force=True, v=True)


class ContainerServer(Server):
    """A container of our own.

    Its ports are bound on the loopback interface, at numbers that stay the same when it is started again.

    Args:
        service: What to run.
        image: Of what, present in the engine.
        run: Of which run it is a part.
    """

    kind: ClassVar[str] = "container"

    def __init__(self, service: Service, image: str, run: str) -> None:
        self._ports = free_ports(service.ports)
        super().__init__(service, filled_url(service, self._ports))
        self.image: str = image
        self._run = run
        self._made: DockerContainer | None = None
        self._digest = ""

    @classmethod
    def choose(cls, service: Service, wanted: str | None, run: str) -> ContainerServer | None:
        """Choose an image and return a server of it, not started; ``None`` if there is no image.

        Raises:
            ServiceUnavailable: If an image was asked for and cannot be had.
        """
        with engine() as client:
            image = choose_image(client, service, wanted)
        return None if image is None else cls(service, image, run)

    @property
    def facts(self) -> Mapping[str, str]:
        """Its image, by name and by the digest of its content."""
        return {"image": self.image, "image_id": self._digest}

    @property
    def record(self) -> Mapping[str, str]:
        """The id of the container."""
        return {"container": self._container.id, "image": self.image}

    @property
    def obituary(self) -> str | None:
        """Its exit code, once it has ended."""
        container = self._container
        container.reload()
        if container.status in ("created", "running", "restarting"):
            return None
        return f"the container of {self.image} exited with {container.attrs['State']['ExitCode']}"

    @property
    def log(self) -> str:
        """The output of the container."""
        return str(self._container.logs(tail=50).decode(errors="replace"))

    @property
    def _container(self) -> Any:
        if self._made is None:
            raise ServiceUnavailable("the container was not started")
        return self._made.get_wrapped_container()

    def start(self) -> None:
        """Create the container and start it. A port that somebody took meanwhile is replaced by another.

        Raises:
            ServiceUnavailable: If the engine does not answer.
        """
        from docker.errors import DockerException

        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._create()
            except BaseException as error:
                self.stop()
                if any(told in str(error) for told in _PORT_TAKEN) and attempt < _ATTEMPTS:
                    self._ports = free_ports(self.service.ports)
                    self.url: str = filled_url(self.service, self._ports)
                    continue
                if isinstance(error, OSError) and not isinstance(
                    error, DockerException
                ):  # nothing was answered
                    told = f"the container engine does not answer ({described(error)}): is it overloaded?"
                    raise ServiceUnavailable(told) from error
                raise
            self._digest = self._container.image.id
            return

    def _create(self) -> None:
        os.environ.update({name: value for name, value in _SETTINGS.items() if name not in os.environ})
        from testcontainers.core.container import DockerContainer

        service, ports = self.service, self._ports
        self._made = DockerContainer(self.image, docker_client_kw={"timeout": _LONGEST})
        self._made.with_kwargs(labels={RUN_LABEL: self._run})
        if service.arguments:
            self._made._command = [fill(argument, ports) for argument in service.arguments]
        self._made.with_envs(**{name: fill(value, ports) for name, value in service.environment.items()})
        inside = ports if service.port == 0 else [service.port]
        bound: dict[str, Any] = self._made.ports
        bound.update({str(there): (LOOPBACK, here) for there, here in zip(inside, ports, strict=True)})
        self._made.start()

    def stop(self) -> None:
        """Remove the container and its volumes."""
        made, self._made = self._made, None
        if made is None:
            return
        from docker.errors import NotFound

        with suppress(NotFound):
            made.stop()

    def kill(self) -> None:
        """Kill the container's processes."""
        self._container.kill("SIGKILL")
        self._container.wait()

    def resume(self) -> None:
        """Start the same container again."""
        self._container.start()
