"""A plugin of pytest for runs that are the suite's own: less looking for garbage, a tenth of their time.

What was made before the first case, the modules and the cases, stays to the end, so it is not looked through again
and again. What is left behind is still found, at the end of the run at the latest.
"""

from __future__ import annotations

import gc
from typing import Final

_YOUNG: Final = 10_000
"""Objects that are made until the youngest are looked through."""


def pytest_collection_finish() -> None:
    """Set apart what is there by now."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)
