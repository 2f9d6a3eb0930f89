"""The options of the adapter."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

__all__ = ["SQLConfig"]


class SQLConfig(BaseModel):
    """Options of a SQL backend. The first four are for SQLite, those after `sweep_interval` for servers.

    Attributes:
        synchronous: ``normal``: an acknowledged write survives a crash of the process, and the last ones before
            a power failure may be lost; ``full``: they survive that too, at the price of waiting for the disk.
        busy_timeout: Seconds to wait while another process holds a lock.
        readers: Most reads to run at the same time.
        cache_mib: Memory for pages of the database, in MiB, for each connection: one that writes and one for
            each reader that was ever needed at the same time.
        sweep_interval: Seconds between two searches for expired records whose space can be reclaimed.
        connections: Most connections to the server.
        prepared: Whether prepared statements live as long as a connection. Unless told, an adapter finds out
            whether it is connected to the server itself or to a pooler such as PgBouncer, and whether that makes
            them last.
        replicas: URLs of replicas that eventual and bounded reads go to; as text, with commas between them.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    synchronous: Literal["normal", "full"] = "normal"
    busy_timeout: float = Field(default=5.0, ge=0, le=3600)
    readers: int = Field(default=4, ge=1, le=64)
    cache_mib: int = Field(default=8, ge=1, le=65536)
    sweep_interval: float = Field(default=10.0, ge=0)
    connections: int = Field(default=10, ge=1, le=1000)
    prepared: bool | None = None
    replicas: tuple[str, ...] = Field(default=(), repr=False)

    @field_validator("replicas", mode="before")
    @classmethod
    def _separated(cls, value: object) -> object:
        return [url.strip() for url in value.split(",") if url.strip()] if isinstance(value, str) else value
