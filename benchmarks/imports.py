"""What ``import daystore`` costs over a bare interpreter."""

from __future__ import annotations

import subprocess
import sys
import time


def start(code: str) -> float:
    """Return the milliseconds a fresh interpreter takes to start, run `code` and end."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter() - begun) * 1e3


def measure(rounds: int) -> dict[str, float]:
    """Return milliseconds for a bare interpreter and for each import over it, best of `rounds`."""
    codes = {
        "bare interpreter": "pass",
        "import daystore": "import daystore",
        "import daystore, Storage": "from daystore import Storage",
        "import asyncio": "import asyncio",
    }
    found = {name: min(start(code) for _ in range(rounds)) for name, code in codes.items()}
    bare = found.pop("bare interpreter")
    return {"bare interpreter": bare} | {f"{name} (over bare)": ms - bare for name, ms in found.items()}
