"""What a case gets: an adapter, a clock, and room of its own."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from typing import Any, Final, TypeVar

from hypothesis import HealthCheck, Phase, seed, settings

from daystore.abc import Capabilities, Query, StorageAdapter
from daystore.storage import Storage
from daystore.stores import Store
from daystore_compliance.clock import ManualClock
from daystore_compliance.plan import Plan
from daystore_compliance.records import Records
from daystore_compliance.reproduce.trace import Trace
from daystore_compliance.target import Target

__all__ = ["Env"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

SEARCH: Final = (Phase.explicit, Phase.reuse, Phase.generate)


class Env:
    """The surroundings of one run of one case.

    Args:
        target: The started target.
        plan: How hard to try.

    Attributes:
        adapter: An open adapter in a namespace that nobody else uses.
        clock: The adapter's clock; it stands until the case moves it.
        random: Where a case takes random choices from.
        trace: What was done to the adapters that were opened here.
    """

    adapter: StorageAdapter

    def __init__(self, target: Target, plan: Plan) -> None:
        self.target = target
        self.plan = plan
        self.clock: ManualClock = ManualClock()
        self.random: random.Random = random.Random(plan.seed)
        self.namespace: str = f"case-{uuid.uuid4().hex}"
        self.trace: Trace = Trace(self.clock)
        self._opened: list[StorageAdapter] = []
        self._collections: list[Records] = []
        self._reader: StorageAdapter | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What the adapter declares."""
        return self.adapter.capabilities

    def hypothesis(self, quick: int, full: int, **options: Any) -> settings:
        """Return settings for Hypothesis with a number of examples by the level of this run."""
        return settings(
            max_examples=self.scale(quick, full),
            derandomize=self.plan.seed == 0,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
            phases=SEARCH if self.plan.search_only else (*SEARCH, Phase.shrink),
            **options,
        )

    def seeded(self, test: F) -> F:
        """Let what Hypothesis tries depend on the seed of this run alone."""
        return test if self.plan.seed == 0 else seed(self.plan.seed)(test)

    def scale(self, quick: T, full: T) -> T:
        """Choose by the level of this run."""
        return full if self.plan.level == "full" else quick

    # --- Adapters ------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the adapter, and a second one on the same data where the target can."""
        self.adapter = await self.open(self.namespace)
        if "second" in self.target.hooks:
            self._reader = await self.open(self.namespace)

    async def open(self, namespace: str) -> StorageAdapter:
        """Open another adapter in a namespace; it is closed at the end."""
        adapter = await self.target.open(namespace, self.clock)
        self._opened.append(adapter)
        self.trace.opened(adapter, namespace)
        return adapter

    async def second(self) -> StorageAdapter:
        """Open another adapter on the same data. The case says that it ``needs={"second"}``."""
        return await self.open(self.namespace)

    async def reopen(self) -> None:
        """Close the adapter and open one on the same data. The case says that it ``needs={"reopen"}``."""
        old = self.adapter
        self._opened.remove(old)
        self.adapter = await self.target.reopen(old)
        self._opened.append(self.adapter)
        self.trace.reopened(old, self.adapter)

    async def stop(self) -> None:
        """Clean up where the storage stays, and close everything that was opened."""
        try:
            if not self.target.disposable:
                await self._clean()
        finally:
            for adapter in reversed(self._opened):
                await adapter.close()
            await self.target.forget(self.namespace)

    async def _clean(self) -> None:
        if not (self._opened and self.capabilities.query):
            return
        await self.adapter.open()
        for records in self._collections:
            page = await self.adapter.query(Query(records.name))
            await self.adapter.delete_batch(records.name, [record.key for record in page.records])

    # --- Collections ---------------------------------------------------------------------------------------

    def records(self, name: str | None = None) -> Records:
        """Return a collection: a fresh one, or the one of this name."""
        name = name or f"c{len(self._collections)}"
        records = Records(self.adapter, self._reader or self.adapter, name)
        self._collections.append(records)
        return records

    # --- Stores --------------------------------------------------------------------------------------------

    def store(self, type: Any = None, **options: Any) -> Store[Any]:  # noqa: A002 -- the contract's name
        """Return a store over a fresh collection; options as those of `Store`."""
        return self._made(self.adapter, self.records().name, type, options)

    def reading(self, store: Store[Any], type: Any = None, **options: Any) -> Store[Any]:  # noqa: A002
        """Return another store on the collection of `store`, through another adapter where there can be one."""
        return self._made(self._reader or self.adapter, store.collection, type, options)

    def _made(self, adapter: StorageAdapter, name: str, type: Any, options: Any) -> Store[Any]:  # noqa: A002
        return self.target.store_type(adapter, name, type, **{**self.target.store_options, **options})

    def storage(self) -> Storage:
        """Return a storage on the adapter, which is open already."""
        for name in ("contexts", "memories", "memories_heads", "events"):
            self.records(name)
        return self.target.storage_type({"main": self.adapter})
