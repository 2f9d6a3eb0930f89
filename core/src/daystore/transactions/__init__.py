"""Optimistic transactions over several stores, and when to try them again."""

from daystore.transactions.retry import Retry
from daystore.transactions.transaction import Transaction, run

__all__ = ["Retry", "Transaction", "run"]
