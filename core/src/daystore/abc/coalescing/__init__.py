"""Coalescing: single calls that are made at the same time go to the backend together.

`StorageAdapter` does it for adapters whose ``coalesce`` is true, between its public methods and the primitives of
the author. There is no timer. A call that finds nothing under way is sent at once, by its own caller; those that
come meanwhile wait for the next turn of the event loop, or for a batch to end, and are sent as one.
"""

from daystore.abc.coalescing.coalescer import Coalescer

__all__ = ["Coalescer"]
