"""``daystore services``: real servers for fast local loops, started once and used by many runs."""

from __future__ import annotations

import shlex
import sys
from difflib import get_close_matches

from cyclopts import App

from daystore.config.secrets import mask_url
from daystore_compliance.certificate.verdict import Exit
from daystore_compliance.services.detached import down as end
from daystore_compliance.services.detached import known_services, running
from daystore_compliance.services.detached import up as start
from daystore_compliance.services.server import ServiceUnavailable
from daystore_compliance.services.service import Service

__all__ = ["app", "down", "list_services", "up"]

app: App = App(name="services", help="Start real servers to try backends against, and end them.")


@app.command
def up(name: str, *, image: str | None = None) -> int:
    """Start a server that goes on running, and print the line that makes every later run use it.

    What is printed can be evaluated: eval "$(daystore services up redis)". Ends with 3 if there is no server.

    Args:
        name: Of the service; "daystore services list" names them.
        image: Of which container it is made, instead of the service's own.
    """
    service = _known(name)
    if service is None:
        return Exit.NOTHING
    try:
        started = start(service, image)
    except ServiceUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return Exit.UNAVAILABLE
    sys.stdout.write(f"export {service.variable}={shlex.quote(started.url)}\n")
    return 0


@app.command
def down(*names: str) -> int:
    """End servers that were started by "daystore services up".

    Ends with 4 if one of them does not run.

    Args:
        names: Of their services; all of them, if none is named.
    """
    code = 0
    for name in names or [one.service for one in running()]:
        if end(name):
            sys.stdout.write(f"{name} has ended\n")
        else:
            sys.stderr.write(f"no {name} was started: 'daystore services list' tells what runs\n")
            code = Exit.NOTHING
    return code


@app.command(name="list")
def list_services() -> int:
    """List the services of the targets that are installed, and which of them run."""
    started = {one.service: one for one in running()}
    services, problems = known_services()
    sys.stderr.writelines(f"{problem}\n" for problem in problems)
    for name, service in services.items():
        if found := started.get(name):
            what = found.record.get("image", "a local process")
            sys.stdout.write(f"{name}: runs, {what}, at {mask_url(found.url)}\n")
        else:
            sys.stdout.write(f"{name}: does not run; {service.image or 'built here'}, {service.variable}\n")
    return 0


def _known(name: str) -> Service | None:
    services, problems = known_services()
    if name not in services:
        sys.stderr.writelines(f"{problem}\n" for problem in problems)
        near = get_close_matches(name, services, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(services) or 'none'}"
        sys.stderr.write(f"no service is called {name!r}: {hint}\n")
    return services.get(name)
