"""Where the servers come from: a URL, or what the compliance suite provides."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from benchmarks.latency import delayed
from daystore_compliance.services import ServiceTarget
from daystore_compliance.target import resolve


@contextmanager
def server(target_name: str, url: str | None, latency: float = 0.0) -> Iterator[str]:
    """Yield the URL of a server that answers.

    Args:
        target_name: The compliance suite's target whose service it is.
        url: Of a server that runs; one is provided as for the suite unless given.
        latency: Milliseconds that it takes longer to get there and back.

    Raises:
        LookupError: If there is no such target.
        ServiceUnavailable: If there is no server, or it does not answer.
    """
    target = cast("ServiceTarget", resolve(target_name, url))
    try:
        url = target.serve()
        if not latency:
            yield url
            return
        target.start()
        with delayed(*target.address, latency) as port:
            yield target.at("127.0.0.1", port).url
    finally:
        target.withdraw()
