"""Where a server comes from: a URL, a container, a local process; and what to say if there is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from daystore.config.secrets import mask_url
from daystore_compliance.services.container import ContainerServer, no_engine
from daystore_compliance.services.process import ProcessServer, missing
from daystore_compliance.services.server import GivenServer, Server, ServiceUnavailable
from daystore_compliance.services.service import Service, fill

__all__ = ["choose_server", "provide"]


@contextmanager
def provide(
    service: Service, *, url: str | None = None, image: str | None = None, run: str = ""
) -> Iterator[Server]:
    """Provide a server that is ready, and end it with the block if it was started for it.

    Args:
        service: Of which a server is needed.
        url: Of a server that runs; no other is tried then.
        image: Of which container; nothing but a container is tried then.
        run: Of which run it is a part.

    Raises:
        ServiceUnavailable: If there is none, or it does not become ready.
    """
    with choose_server(service, url=url, image=image, run=run).running() as server:
        yield server


def choose_server(
    service: Service, *, url: str | None = None, image: str | None = None, run: str = ""
) -> Server:
    """Choose the server as `provide` does, without starting it.

    Raises:
        ServiceUnavailable: If there is no way to get one.
    """
    if url:
        return GivenServer(service, url)
    tried = [f"{service.variable} is not set"]
    if not service.image and not service.build:
        pass
    elif why := no_engine():
        tried.append(why)
    elif server := ContainerServer.choose(service, image, run):
        return server
    else:
        tried.append(f"the image {service.image or service.build} cannot be pulled, and none was built here")
    if image:
        raise ServiceUnavailable(f"no container of {image} can be started: {tried[-1]}")
    if service.local is not None:
        if not (lacks := missing(service.local)):
            return ProcessServer(service)
        tried.append(f"not installed: {', '.join(lacks)}")
    raise ServiceUnavailable(_advice(service, tried))


def _advice(service: Service, tried: list[str]) -> str:
    lines = [f"there is no {service.name} server to try: {'; '.join(tried)}.", "One of these gets one:"]
    url = mask_url(fill(service.url, [service.port or 7001]))
    lines.append(f"  export {service.variable}={url}  # one that runs")
    if service.image:
        lines.append(f"  docker pull {service.image}  # with a container engine that runs")
    if service.build:
        lines.append(f"  compliance-tests/images/build {service.build}  # where nothing can be pulled")
    if service.local is not None and service.local.install:
        lines.append(f"  {service.local.install}  # a local process")
    return "\n".join(lines)
