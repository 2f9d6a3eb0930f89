"""A proxy between an adapter and its server that makes the network fail on request."""

from daystore_compliance.proxy.fault import REPLY, REQUEST, Action, Direction, Fault
from daystore_compliance.proxy.server import FaultProxy, Traffic

__all__ = ["REPLY", "REQUEST", "Action", "Direction", "Fault", "FaultProxy", "Traffic"]
