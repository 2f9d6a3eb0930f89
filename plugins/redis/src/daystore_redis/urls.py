"""URLs: which servers they name, and with which options of the driver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlencode

from redis.asyncio.connection import Connection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from daystore.errors import ConfigError
from daystore_redis.config import RedisConfig
from daystore_redis.servers import Address, Alone, Cluster, Endpoint, Sentinel, Servers

__all__ = ["Location", "locate"]

FORMS: Final = (
    "redis://user:password@host:6379/0, rediss://… with TLS, unix:///path/to/socket, "
    "redis+sentinel://host1,host2/service/0 or redis+cluster://host1,host2"
)
TAKEN: Final = frozenset({"db", "username", "password", "client_name", "socket_keepalive"})
"""Parameters of a URL that are the driver's; those that begin with ``ssl_`` are, too."""
SENTINEL_PORT, PORT = 26379, 6379


@dataclass(frozen=True, slots=True)
class Location:
    """Where the data are.

    Attributes:
        kind: ``server``, ``sentinel`` or ``cluster``.
        connect: Makes what leads to the servers, given the slot of each shard; in an event loop.
    """

    kind: str
    connect: Callable[[Sequence[int]], Servers]


def locate(url: str, config: RedisConfig) -> Location:
    """Read a URL.

    Raises:
        ConfigError: If it cannot be used. The message does not repeat it: it may hold a password.
    """
    scheme, _, rest = url.partition("://")
    scheme, plus, kind = scheme.lower().partition("+")
    if (
        not rest
        or scheme not in ("redis", "rediss", "unix")
        or (plus and kind not in ("sentinel", "cluster"))
    ):
        raise ConfigError(f"the URL of the redis adapter reads {FORMS}")
    try:
        if kind == "sentinel":
            return _sentinel(scheme, rest, config)
        if kind == "cluster":
            return _cluster(scheme, rest, config)
        endpoint = _endpoint(f"{scheme}://{rest}", config)
    except ConfigError:
        raise
    except (ValueError, TypeError):  # it is told without its cause, which may quote the password
        raise ConfigError(f"the URL cannot be read: it reads {FORMS}") from None
    return Location("server", lambda _: Alone(endpoint, config.max_connections))


def _sentinel(scheme: str, rest: str, config: RedisConfig) -> Location:
    login, hosts, path, parameters = _taken_apart(rest)
    service, _, db = path.partition("/")
    if not service:
        raise ConfigError("a Sentinel URL names a service: redis+sentinel://host1,host2/service/0")
    own = dict(parse_qsl(parameters, keep_blank_values=True))
    watch = {
        name: own.pop(f"sentinel_{name}") for name in ("username", "password") if f"sentinel_{name}" in own
    }
    master = _endpoint(f"{scheme}://{login}host/{db or 0}?{urlencode(own)}", config)
    ssl = {name: value for name, value in own.items() if name.startswith("ssl_")}
    sentinels = _endpoint(f"{scheme}://host?{urlencode({**watch, **ssl})}", config)
    addresses = _addresses(hosts, SENTINEL_PORT)
    return Location(
        "sentinel",
        lambda _: Sentinel(master, (sentinels, addresses), unquote(service), config.max_connections),
    )


def _cluster(scheme: str, rest: str, config: RedisConfig) -> Location:
    login, hosts, path, parameters = _taken_apart(rest)
    if path not in ("", "0"):
        raise ConfigError("a cluster has the database 0 alone: redis+cluster://host1,host2")
    endpoint = _endpoint(f"{scheme}://{login}host/0?{parameters}", config)
    addresses = _addresses(hosts, PORT)
    return Location("cluster", lambda slots: Cluster(endpoint, addresses, slots, config.max_connections))


def _taken_apart(rest: str) -> tuple[str, str, str, str]:
    """Return login (with its ``@``), hosts, path and parameters."""
    place, _, parameters = rest.partition("?")
    authority, _, path = place.partition("/")
    login, at, hosts = authority.rpartition("@")
    return login + at, hosts, path, parameters


def _addresses(hosts: str, port: int) -> list[Address]:
    found = []
    for host in hosts.split(","):
        name, number = host, str(port)
        if host.endswith("]"):
            name = host
        elif ":" in host:
            name, _, number = host.rpartition(":")
        name = unquote(name).removeprefix("[").removesuffix("]")
        if not name:
            raise ConfigError(f"a host has no name: the URL reads {FORMS}")
        found.append((name, int(number)))
    return found


def _endpoint(url: str, config: RedisConfig) -> Endpoint:
    options: dict[str, Any] = dict(parse_url(url))
    kind = options.pop("connection_class", Connection)
    known = {"host", "port", "path"}
    unknown = sorted(n for n in options.keys() - TAKEN - known if not n.startswith("ssl_"))
    if unknown:
        raise ConfigError(
            f"a URL of the redis adapter has no parameter {unknown[0]!r}: there are {', '.join(sorted(TAKEN))}, "
            "those of TLS that begin with 'ssl_', and the options of the adapter as 'daystore_…'"
        )
    options |= {
        "socket_timeout": None,  # every operation has a time limit of its own
        "socket_connect_timeout": config.connect_timeout,
        "retry": Retry(NoBackoff(), 0),  # the adapter alone tries again
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        "driver_info": None,
    }
    kind(**options)  # an option that the driver does not take is told now
    return Endpoint(kind, options)
