"""Code around every operation of a store."""

from daystore.middleware.chain import Chain

__all__ = ["Chain"]
