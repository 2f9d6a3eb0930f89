"""Datetimes by everything that can be seen of them: fold, zone, name of the zone, offset."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

from daystore_compliance.case import case
from daystore_compliance.env import Env


def _face(moment: datetime) -> tuple[Any, ...]:
    """Return what can be seen of a datetime; two that are equal may differ in each of it."""
    zone = moment.tzinfo
    named = zone.key if isinstance(zone, ZoneInfo) else None
    return (moment.replace(tzinfo=None, fold=0), moment.fold, named, moment.utcoffset())


async def _keeps(env: Env, moments: list[datetime]) -> None:
    store = env.store()
    faces = [_face(moment) for moment in moments]
    assert len(set(faces)) == len(faces), "two of the datetimes look alike"
    for number, moment in enumerate(moments):
        await store.set(f"{number:02}", moment)
    await store.set_batch({f"{number:02} in": {"at": [moment]} for number, moment in enumerate(moments)})
    found: dict[str, Any] = await env.reading(store).get_batch(
        key for number in range(len(moments)) for key in (f"{number:02}", f"{number:02} in")
    )
    for number, face in enumerate(faces):
        alone, inside = found[f"{number:02}"], found[f"{number:02} in"]
        assert _face(alone) == face, f"datetime {number} comes back as another one"
        assert _face(inside["at"][0]) == face, f"datetime {number} comes back from a dict as another one"


@case("rt.fold_anywhere")
async def fold_anywhere(env: Env) -> None:
    """The fold of a datetime is kept where it means something and where it does not: in every zone."""
    zones = [
        UTC,
        timezone(timedelta(hours=2)),
        timezone(-timedelta(minutes=1)),
        ZoneInfo("UTC"),
        ZoneInfo("Europe/Berlin"),
    ]
    moments = (datetime(2026, 7, 1, 2, 30, 0, 1, tzinfo=UTC), datetime(2026, 10, 25, 2, 30, tzinfo=UTC))
    folded = [moment.replace(fold=fold) for moment in moments for fold in (0, 1)]
    await _keeps(env, [moment.replace(tzinfo=zone) for moment in folded for zone in zones])


@case("rt.zone_names")
async def zone_names(env: Env) -> None:
    """A zone comes back under the name that it had, also an old one that is a mere link to another name."""
    names = ("UTC", "Etc/UTC", "GMT", "US/Eastern", "America/New_York", "Asia/Calcutta", "Asia/Kolkata")
    await _keeps(env, [datetime(2026, 7, 1, 12, tzinfo=ZoneInfo(name)) for name in names])
