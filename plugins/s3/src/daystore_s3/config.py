"""The options of the adapter."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["S3Config"]


class S3Config(BaseModel):
    """Options of an S3 backend.

    Attributes:
        max_connections: Most requests at the same time, and so threads and connections; whoever wants one more
            waits.
        connect_timeout: Seconds that connecting may take.
        read_timeout: Seconds that the server may be silent; where the time limit of an operation is shorter, so
            many, but at least one.
        durable: Whether the server has what it acknowledges on its disks; it is declared as such.
        sweep_interval: Seconds between two searches for what can be taken away.
        part_size: Bytes from which on a value is not kept in the object of its record, but beside it, in parts of
            this size at most.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    max_connections: int = Field(default=32, ge=1, le=1024)
    connect_timeout: float = Field(default=5.0, gt=0, le=3600)
    read_timeout: float = Field(default=10.0, gt=0, le=3600)
    durable: bool = True
    sweep_interval: float = Field(default=60.0, ge=0)
    part_size: int = Field(default=8 * 1024 * 1024, ge=64 * 1024, le=64 * 1024 * 1024)
