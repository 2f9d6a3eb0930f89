"""How far a MariaDB server is, and its replica: by the global transaction ids of the binary log.

They are one number for each replication domain, in which transactions are logged and applied one after the other.
A transaction is in the log before anybody sees it on the server, and it counts on a replica once it is seen there.
"""

from __future__ import annotations

from daystore_sql.errors import unavailable
from daystore_sql.network.drivers.asyncmy import AsyncmyConnection
from daystore_sql.network.positions import Position

__all__ = ["position", "replayed"]


async def position(connection: AsyncmyConnection) -> Position:
    """Ask for what the binary log has of each replication domain.

    Raises:
        BackendUnavailable: If the server is MySQL, or has no such log.
    """
    if not connection.is_mariadb:
        raise unavailable(
            "replicas are used of PostgreSQL and of MariaDB, not of MySQL: leave the option 'replicas' out",
            "open",
            retryable=False,
        )
    ((database, gtids, logs),) = await connection.fetch("SELECT DATABASE(), @@gtid_binlog_pos, @@log_bin")
    if not logs:
        raise unavailable(
            "the server has no binary log, so nothing can be a replica of it: start it with log_bin, or leave "
            "the option 'replicas' out",
            "open",
            retryable=False,
        )
    return Position(database, _places(gtids))


async def replayed(connection: AsyncmyConnection) -> Position:
    """Ask for what was applied of each replication domain.

    Raises:
        BackendUnavailable: If the server is no replica.
    """
    if not connection.is_mariadb:
        raise unavailable("it is no replica of MariaDB")
    ((database, gtids),) = await connection.fetch("SELECT DATABASE(), @@gtid_slave_pos")
    if not gtids:
        raise unavailable("it is no replica: it has applied nothing of another server")
    return Position(database, _places(gtids))


def _places(gtids: str) -> dict[str, int]:
    """Return the numbers of the last transactions by replication domain."""
    parts = (gtid.split("-") for gtid in gtids.split(",") if gtid)
    return {domain: int(number) for domain, _server, number in parts}
