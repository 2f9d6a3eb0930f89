"""The bugs that users have reported elsewhere, line by line: each is answered, and the answer holds."""

import json
from pathlib import Path
from typing import Any

import pytest

from daystore_compliance.case import REGISTRY
from daystore_compliance.mutants import MUTANTS, load
from daystore_compliance.selftest.matrix import read_matrix
from daystore_compliance.suite import load as load_cases

load_cases()
load()

FOLDER = Path(__file__).parents[1] / "real-bugs"
FILES = ("records", "writes", "queries", "transactions", "faults")
LATER = {"middleware", "s3-mongo", "schemas", "servers", "subscriptions"}


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text().splitlines()]


ALL = [row for name in FILES for row in rows(name)]


def test_all_of_them_are_there() -> None:
    assert sorted(row["line"] for row in ALL) == list(range(1, 278))


@pytest.mark.parametrize(
    "row", [*ALL, *rows("unseen")], ids=lambda row: f"{row.get('line', row.get('mutant'))}-{row['ref']}"
)
def test_bug_is_answered(row: dict[str, Any]) -> None:
    assert row["what"]
    assert sum(key in row for key in ("mutant", "impossible", "later")) == 1
    if "mutant" in row:
        assert row["before"] in ("caught", "missed")
        assert row["case"] in REGISTRY
        assert row.get("learned", row["case"]) in REGISTRY
        names = [row["mutant"]] if isinstance(row["mutant"], str) else row["mutant"]
        assert names
        matrix = read_matrix()
        killers = {killer.partition("[")[0] for name in names for killer in matrix[name]}
        assert set(names) <= MUTANTS.keys()
        assert row["case"] in killers
    elif "later" in row:
        assert row["later"] in LATER
        assert row["reason"]
    else:
        assert len(row["impossible"]) > 20


def test_summary_says_what_the_lists_say() -> None:
    text = (FOLDER / "README.md").read_text()
    applicable = [row for row in ALL if "mutant" in row]
    before = sum(row["before"] == "caught" for row in applicable)
    assert f"| can happen to a backend | {len(applicable)} |" in text
    assert f"| of these caught before | {before} |" in text
    assert f"| of these caught now | {len(applicable)} |" in text
    assert f"| no backend can have it | {sum('impossible' in row for row in ALL)} |" in text
    assert f"| waits for what is not there yet | {sum('later' in row for row in ALL)} |" in text
