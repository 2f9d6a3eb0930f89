"""URLs: which servers they name, and which database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from pymongo import AsyncMongoClient
from pymongo.driver_info import DriverInfo
from pymongo.errors import PyMongoError

from daystore.errors import ConfigError
from daystore_mongo.config import MongoConfig
from daystore_mongo.documents import Document
from daystore_mongo.pooling import CarefulPool, EagerMonitor

__all__ = ["Client", "Location", "locate"]

Client: TypeAlias = "AsyncMongoClient[Document]"

DATABASE: Final = "daystore"
"""Unless the URL names one."""
FORM: Final = "mongodb://user:password@host:27017/database or mongodb+srv://user:password@host/database"
_OURS: Final = frozenset(
    {"w", "j", "journal", "wtimeoutms", "readconcernlevel", "readpreference", "timeoutms"}
)
"""Options of a URL that would change what is promised."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where the data are.

    Attributes:
        database: Name of the database.
        connect: Makes the client, in an event loop.
    """

    database: str
    connect: Callable[[], Client] = field(repr=False)


def locate(url: str, config: MongoConfig) -> Location:
    """Read a URL.

    Raises:
        ConfigError: If it cannot be used. The message does not repeat it: it may hold a password.
    """
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in ("mongodb", "mongodb+srv") or not rest:
        raise ConfigError(f"the URL of the mongo adapter reads {FORM}")
    for name in (part.partition("=")[0] for part in rest.partition("?")[2].split("&")):
        if name.lower() in _OURS:
            raise ConfigError(
                f"a URL of the mongo adapter has no parameter {name!r}: what is written is acknowledged by the "
                "majority and from the disk, and reads go where their level of consistency says"
            )
    address = f"{scheme.lower()}://{rest}"

    def connect() -> Client:
        return AsyncMongoClient(address, connect=False, **_options(config))

    try:
        client = connect()
        database = client.get_default_database(DATABASE).name
    except (
        PyMongoError,
        ValueError,
        TypeError,
        Warning,
    ):  # told without its cause, which may quote the password
        raise ConfigError(
            f"the URL cannot be read: it reads {FORM}, with options that pymongo knows"
        ) from None
    return Location(database, connect)


def _options(config: MongoConfig) -> dict[str, Any]:
    return {
        "retryReads": False,  # the adapter alone tries again
        "retryWrites": False,
        "max_adaptive_retries": 0,
        "maxPoolSize": config.max_connections,
        "connectTimeoutMS": round(config.connect_timeout * 1000),
        "serverSelectionTimeoutMS": round(config.server_timeout * 1000),
        "driver": DriverInfo("daystore"),
        "_pool_class": CarefulPool,
        "_monitor_class": EagerMonitor,
    }
