"""A backend that is reached over a network: a server, its adapter, and the target that holds both to the contract.

It is the second reference of the suite. The first one, in memory, has no connection that could fail; this one
shows what an adapter does when its connection does: it looks before it sends a write again, throws away a
connection of which it does not know what comes next, and has late requests refused.
"""

from daystore_compliance.wire.adapter import WireAdapter
from daystore_compliance.wire.server import WireServer
from daystore_compliance.wire.target import WireTarget

__all__ = ["WireAdapter", "WireServer", "WireTarget"]
