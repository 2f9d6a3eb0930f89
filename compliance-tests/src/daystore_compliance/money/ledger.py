"""The accounts, the transfers between them, and what has to be true of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from daystore import Storage, Store
from daystore.abc import Query, StorageAdapter
from daystore.abc.coordination import STATUS_COLLECTION
from daystore.transactions.transaction import Transaction

__all__ = ["ACCOUNTS", "KEYS", "Ledger", "Transfer"]

ACCOUNTS: Final = 8
"""Accounts on each backend."""
START: Final = 1000
"""What each has in the beginning. It may fall below zero."""

KEYS: Final = tuple(f"a{number}" for number in range(ACCOUNTS))


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer.

    Attributes:
        name: Unlike that of any other one.
        source: Backend and key of the account that pays.
        sink: Backend and key of the account that gets it.
        amount: How much.
        kept: The backend that keeps its record.
    """

    name: str
    source: tuple[str, str]
    sink: tuple[str, str]
    amount: int
    kept: str


class Ledger:
    """The accounts of several backends.

    Args:
        adapters: Of the backends, by name. They are opened and closed by whoever made them.
    """

    def __init__(self, adapters: Mapping[str, StorageAdapter]) -> None:
        self.storage: Storage = Storage(adapters)
        self._adapters = dict(adapters)
        self._accounts = {name: Store[int](one, "accounts", int) for name, one in adapters.items()}
        self._transfers = {name: Store[Any](one, "transfers") for name, one in adapters.items()}

    async def begin(self) -> None:
        """Give every account what it begins with."""
        for accounts in self._accounts.values():
            await accounts.set_batch(dict.fromkeys(KEYS, START))

    async def move(self, transfer: Transfer, patience: float) -> None:
        """Move an amount, and keep a record of it, in one transaction.

        Args:
            transfer: Between which accounts, and how much.
            patience: Seconds after which it is not tried again after a conflict.
        """
        (source, payer), (sink, payee) = transfer.source, transfer.sink

        async def body(tx: Transaction) -> None:
            paying, paid = tx[self._accounts[source]], tx[self._accounts[sink]]
            await paying.set(payer, await paying.get(payer, 0) - transfer.amount)
            await paid.set(payee, await paid.get(payee, 0) + transfer.amount)
            said = {"from": transfer.source, "to": transfer.sink, "amount": transfer.amount}
            await tx[self._transfers[transfer.kept]].set(transfer.name, said)

        await self.storage.transaction(body, deadline=patience)

    async def audit(self, patience: float) -> str | None:
        """Read every account in one transaction; return what is wrong with their total, or ``None``."""

        async def body(tx: Transaction) -> list[dict[str, int]]:
            return [await tx[accounts].get_batch(KEYS) for accounts in self._accounts.values()]

        found = await self.storage.transaction(body, deadline=patience)
        total = sum(sum(one.values()) for one in found)
        return None if total == self.total else f"a transaction saw a total of {total}, not {self.total}"

    @property
    def total(self) -> int:
        """What all accounts have together, always."""
        return START * ACCOUNTS * len(self._accounts)

    async def check(self, acknowledged: Iterable[str], refused: Iterable[str]) -> tuple[int, list[str]]:
        """Compare the accounts with the records of the transfers.

        Args:
            acknowledged: Names of the transfers that have to be there.
            refused: Names of those that must not, because nothing of them was applied.

        Returns:
            How many transfers there are, and what is wrong.
        """
        expected = Counter({(name, key): START for name in self._accounts for key in KEYS})
        names: list[str] = []
        for transfers in self._transfers.values():
            async for entry in transfers.scan():
                names.append(entry.key)
                expected[tuple(entry.value["from"])] -= entry.value["amount"]
                expected[tuple(entry.value["to"])] += entry.value["amount"]
        problems = [
            f"transfer {name} was acknowledged and is not there"
            for name in sorted({*acknowledged} - {*names})
        ]
        problems += [f"transfer {name} was refused and is there" for name in sorted({*refused} & {*names})]
        found = {
            (name, key): value
            for name, accounts in self._accounts.items()
            for key, value in (await accounts.get_batch(KEYS)).items()
        }
        problems += [
            f"account {key} of {name} has {found.get((name, key))}, and its transfers make {value}"
            for (name, key), value in expected.items()
            if found.get((name, key)) != value
        ]
        if sum(found.values()) != self.total:
            problems.append(f"the total is {sum(found.values())}, not {self.total}")
        if len(set(names)) != len(names):
            problems.append("a transfer has more than one record")
        return len(names), problems

    async def left(self) -> int:
        """Return how many intents and status records are there."""
        found = 0
        for adapter in self._adapters.values():
            assert adapter.coordinator is not None
            participant = adapter.coordinator.participant
            found += len(await participant.prepared(None))
            found += len((await participant.query(Query(STATUS_COLLECTION))).records)
        return found

    async def recover(self) -> int:
        """Finish what can be finished, once; return how much may be somebody's who is alive."""
        left = 0
        for adapter in self._adapters.values():
            assert adapter.coordinator is not None
            left += await adapter.coordinator.recover()
        return left
