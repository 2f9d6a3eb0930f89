"""Random questions about random histories: everything a query can say, asked on every path, against the model.

A named case tries one promise. The cases here try what nobody has thought of naming: operators, types, orders,
windows and groups in combinations, over records that were overwritten, deleted and expired before.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from daystore_compliance.case import case
from daystore_compliance.env import Env
from daystore_compliance.model import Row
from daystore_compliance.questions import Asked, Chance, live_through
from daystore_compliance.suite.store_transactions import NEEDS

CHANCES = st.randoms(use_true_random=True).map(Chance)
"""A good generator asks far more different questions in the same time than one that is built to be simplified."""


@case("q.oracle", requires={"query", "aggregate"})
def oracle(env: Env, run: Any) -> None:
    """Any question after any history has the model's answer, as a query, a count, pages and an aggregate."""
    found = 0

    @env.seeded
    @env.hypothesis(3, 120)
    @given(CHANCES)
    def agree(chance: Chance) -> None:
        nonlocal found
        found += run(_ask(env, chance))

    agree()
    assert found > 10, "there was almost nothing to find"


async def _ask(env: Env, chance: Chance) -> int:
    records, begin = env.records(), env.clock()
    rows = await live_through(env, records, [chance.step() for _ in range(3)])
    place = Asked(records.reader, records.name)
    for number in range(50):
        await place.judge(chance.question().since(begin), rows, thorough=number % 6 == 0)
    return len(rows)


@case("txn.oracle", requires=NEEDS)
def transaction_oracle(env: Env, run: Any) -> None:
    """Any question in a transaction has the model's answer over what was there and its own writes."""

    @env.seeded
    @env.hypothesis(2, 100)
    @given(CHANCES)
    def agree(chance: Chance) -> None:
        run(_ask_inside(env, chance))

    agree()


async def _ask_inside(env: Env, chance: Chance) -> None:
    records, begin = env.records(), env.clock()
    rows = {row.key: row for row in await live_through(env, records, [chance.step()])}
    written, deleted, _ = chance.step()
    questions = [chance.question().since(begin) for _ in range(8)]
    async with env.adapter.transaction() as tx:
        for key, (fields, _) in written.items():
            created = rows[key].created_at if key in rows else env.clock()
            if key in rows:
                await tx.read(records.name, [key])  # else it could not tell when the record was created
            rows[key] = Row(key, fields, key.encode(), created, env.clock())
            await tx.write([records.a_put(key, fields=fields)])
        await tx.write([records.a_delete(key) for key in deleted])
        rows = {key: row for key, row in rows.items() if key not in deleted}
        for number, question in enumerate(questions):
            await Asked(tx, records.name).judge(question, list(rows.values()), thorough=number % 2 == 0)
    for question in questions:
        await Asked(records.reader, records.name).judge(question, list(rows.values()), thorough=False)
