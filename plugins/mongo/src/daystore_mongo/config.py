"""The options of the adapter."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["MongoConfig"]


class MongoConfig(BaseModel):
    """Options of a MongoDB backend.

    Attributes:
        max_connections: Most connections to one server; whoever wants one more waits.
        connect_timeout: Seconds that connecting may take.
        server_timeout: Seconds to wait for a server that can be used, such as a new primary.
        eventual: Where reads go that need not be fresh: to the ``primary``, or to a ``secondary`` if there is one.
        sweep_interval: Seconds between two searches for expired records of a collection that is written to.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    max_connections: int = Field(default=16, ge=1, le=1024)
    connect_timeout: float = Field(default=5.0, gt=0, le=3600)
    server_timeout: float = Field(default=3.0, gt=0, le=3600)
    eventual: Literal["primary", "secondary"] = "primary"
    sweep_interval: float = Field(default=60.0, ge=0)
