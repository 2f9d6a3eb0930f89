"""Contexts that are queried together with their memories are what they are without them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from daystore import Context
from daystore.errors import VersionConflict
from daystore_compliance.case import case
from daystore_compliance.checks import raises
from daystore_compliance.env import Env

_MOMENT: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _context(number: int) -> Context:
    return Context(
        f"c{number}",
        type=("chat", "task", "Chat")[number % 3],
        status=("active", "archived", "")[number % 2],
        last_active=_MOMENT + timedelta(hours=number, microseconds=number),
        message_count=number,
        duration=number / 3,
        user_id=None if number % 4 else f"u{number}",
        agent_id="agent",
        memory_id="shared" if number % 5 == 4 else None,
        title=None if number % 3 else "",
        metadata={"n": number, "list": [number], "none": None},
    )


@case("rec.contexts_include", requires={"transactions", "query"})
async def contexts_include(env: Env) -> None:
    """Contexts that are queried with their working memory are the same as without it: whole, at their version."""
    storage = env.storage()
    model = {f"c{n}": _context(n) for n in range(12)}
    await storage.contexts.set_batch({key: replace(context) for key, context in model.items()})
    entries: dict[str, list[str]] = {}
    for number in range(10):
        entries[f"c{number}"] = [f"{number}-{place}" for place in range(number * 3)]
        await storage.memories.append(f"c{number}", entries[f"c{number}"])
    entries["shared"] = ["s"]
    await storage.memories.append("shared", ["s"])
    adapter = await env.second() if "second" in env.target.hooks else env.adapter
    store = env.target.storage_type({"main": adapter}).contexts
    for size in (None, 1, 5):
        query = store.where("message_count", ">=", 2).order_by("message_count", "desc")
        query = query.include("working_memory") if size is None else query.include("working_memory", size)
        found = await query.entries()
        assert [entry.key for entry in found] == [f"c{n}" for n in range(11, 1, -1)]
        plain = await store.entries([entry.key for entry in found])
        assert found == [plain[entry.key] for entry in found]
        for entry in found:
            context = entry.value
            memory = entries.get(context.memory_id or context.id, [])
            assert context.working_memory == memory[-(size or 20) :]
            assert context == model[context.id]
        paged = [entry async for entry in store.scan(query)]
        assert [e.value.working_memory for e in paged] == [e.value.working_memory for e in found]
        entry = found[0]
        version = await store.set(entry.key, replace(entry.value), if_version=entry.version)
        with raises(VersionConflict) as caught:
            await store.set(entry.key, replace(entry.value), if_version=entry.version)
        assert caught.error.current == version
    assert await store.get_batch(list(model)) == model
