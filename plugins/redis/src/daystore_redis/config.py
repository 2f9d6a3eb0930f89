"""The options of the adapter."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["RedisConfig"]


class RedisConfig(BaseModel):
    """Options of a Redis backend.

    Attributes:
        shards: Parts that a namespace is divided into, each in one slot of a cluster; fixed when the namespace is
            first used. With more than one there are no atomic batches and no transactions.
        max_connections: Most connections to one server; whoever wants one more waits.
        connect_timeout: Seconds that connecting may take.
        durability: ``server``: a write is acknowledged as the server's configuration says; ``aof``: after the
            server has it in its append-only file on the disk (Redis 7.2 or later).
        min_replicas: Replicas that have to have a write before it is acknowledged.
        cache: Whether the data may be lost at any time, so that a server that evicts is no mistake. A cache has
            no queries, aggregates and transactions.
        sweep_interval: Seconds between two searches for expired records whose index entries can be taken away.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    shards: int = Field(default=1, ge=1, le=1024)
    max_connections: int = Field(default=16, ge=1, le=1024)
    connect_timeout: float = Field(default=5.0, gt=0, le=3600)
    durability: Literal["server", "aof"] = "server"
    min_replicas: int = Field(default=0, ge=0, le=64)
    cache: bool = False
    sweep_interval: float = Field(default=10.0, ge=0)
