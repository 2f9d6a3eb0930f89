"""What can be seen in between: values while they are written, results that are kept, deletes at once."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from daystore.abc import KEEP, Compare, Op, Order
from daystore_compliance.case import case
from daystore_compliance.checks import assert_same_records
from daystore_compliance.env import Env
from daystore_compliance.overlapping import going_on
from daystore_compliance.records import Records

SIZE: Final = 20_000


async def _overwritten_under_watch(env: Env, **options: Any) -> None:
    """Overwrite one record, with readers that expect a value, its fields and its version together."""
    records = env.records()
    first = records.a_put("a", b"0" * SIZE, fields={"n": 0}, **options)
    written = {first.version: 0}
    await records.write(first)
    seen: list[int] = []
    writing = True

    async def watch(reader: Records) -> None:
        while writing:
            record = await reader.must_get("a")
            number = written.get(record.version, -1)
            whole = (record.value, dict(record.fields)) == (b"%d" % number * SIZE, {"n": number})
            assert whole, "a record was seen while it was being written"
            seen.append(number)
            await asyncio.sleep(0)

    readers = [asyncio.ensure_future(watch(r)) for r in (records, records, records.through(records.reader))]
    last = 0
    for number in going_on(9, lambda: len(set(seen)) > 2):
        last = number + 1
        put = records.a_put("a", b"%d" % last * SIZE, fields={"n": last}, **options)
        written[put.version] = last
        await records.write(put)
        for _ in range(3):
            await asyncio.sleep(0)
    writing = False
    await asyncio.gather(*readers)
    assert len(set(seen)) > 2, "nobody read while the record was written"
    await records.expect({"a": b"%d" % last * SIZE})


@case("rt.never_in_part")
async def never_in_part(env: Env) -> None:
    """A record that is overwritten is seen whole by those who read meanwhile: the old one, or the new one."""
    await _overwritten_under_watch(env)


@case("ttl.keep_never_in_part", requires={"ttl"})
async def keep_never_in_part(env: Env) -> None:
    """A record that is overwritten with its deadline kept is seen whole by those who read meanwhile."""
    await _overwritten_under_watch(env, expires_at=KEEP)


@case("q.result_stays", requires={"query"})
async def result_stays(env: Env) -> None:
    """What was read stays as it was when it was returned, whatever is asked and written afterwards."""
    records = env.records()
    await records.fill({f"k{number}": {"n": number} for number in range(6)})
    low, high = Compare("n", Op.LT, 3), Compare("n", Op.GE, 3)
    first = await records.page(low)
    batch = await records.adapter.get_batch(records.name, ["k0", "k5"])
    kept, of_batch = [record.copy() for record in first.records], [r.copy() for r in batch.values()]
    assert [record.key for record in kept] == ["k0", "k1", "k2"]
    second = await records.page(high, Order("n", descending=True), limit=2)
    third = await asyncio.gather(records.page(low, limit=1), records.page(high))
    assert [record.key for record in second.records] == ["k5", "k4"]
    assert [[record.key for record in page.records] for page in third] == [["k0"], ["k3", "k4", "k5"]]
    await records.put("k0", b"changed", fields={"n": 9})
    await records.delete("k1")
    assert await records.keys(low) == ["k2"]
    assert_same_records(first.records, kept, "a page that was kept")
    assert_same_records(list(batch.values()), of_batch, "a batch that was kept")
    assert [record.key for record in second.records] == ["k5", "k4"]


@case("del.side_by_side")
async def deletes_side_by_side(env: Env) -> None:
    """Deletes at the same time, of neighbours or of one key, all succeed, and one of them finds each record."""
    records = env.records()
    for _ in range(env.scale(3, 30)):
        keys = ["a", "a/b", "a/c", "b/d"]
        await records.fill(keys)
        found = await asyncio.gather(*(records.delete(key) for key in [*keys, *keys]))
        for one, other in zip(found[:4], found[4:], strict=True):
            assert sorted([one, other]) == [False, True], "one of two deletes finds the record"
        await records.expect({}, *keys)
