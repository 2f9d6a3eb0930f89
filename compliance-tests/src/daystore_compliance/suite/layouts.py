"""Storage that a newer version has laid out: refused, and left as it is."""

from __future__ import annotations

from daystore.errors import BackendUnavailable, DaystoreError
from daystore_compliance.case import case
from daystore_compliance.checks import assert_same_record
from daystore_compliance.env import Env
from daystore_compliance.records import Records
from daystore_compliance.target import Target


@case("life.layout_unknown", needs={"fresh", "future", "reopen"})
async def layout_unknown(env: Env) -> None:
    """Storage whose layout is from a newer version is refused each time, and nothing in it is touched."""
    target = env.target.fresh()
    with target.running():
        adapter = await target.open(env.namespace, env.clock)
        records = Records(adapter, adapter, "kept")
        await records.fill({f"k{number}": {"n": number} for number in range(5)})
        keys = [f"k{number}" for number in range(5)]
        before = await records.state(*keys)
        await adapter.close()
        raw = await target.raw(adapter) if "raw" in target.hooks else None
        back = target.from_the_future()
        for _ in range(2):
            error = await _refused(target, env)
            assert type(error) is BackendUnavailable
            assert (error.retryable, error.backend) == (False, env.adapter.name)
        assert raw is None or await target.raw(adapter) == raw
        back()
        adapter = await target.open(env.namespace, env.clock)
        try:
            after = await Records(adapter, adapter, "kept").state(*keys)
        finally:
            await adapter.close()
        assert list(after) == keys
        for key, record in after.items():
            assert_same_record(record, before[key], "what was there before")


async def _refused(target: Target, env: Env) -> DaystoreError:
    """Try to open, and return the error."""
    try:
        adapter = await target.open(env.namespace, env.clock)
    except DaystoreError as error:
        return error
    await adapter.close()
    raise AssertionError("a layout from the future was opened")
