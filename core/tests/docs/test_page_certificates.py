"""The certificates that are kept, and the pages that are made from them."""

import json
import re
from pathlib import Path

import pytest

from daystore_compliance.case import REGISTRY
from daystore_compliance.certificate.contract import CURRENT, contract
from daystore_compliance.certificate.files import read_certificate
from daystore_compliance.certificate.profiles import PROFILES
from daystore_compliance.certificate.rendering import certificate_page, matrix
from daystore_compliance.suite import load

DOCS = Path(__file__).parents[3] / "docs"
FOLDER = DOCS / "certificates"
NOT_FOR = {
    "memory": {"durability", "faults"},
    "sql": {"faults"},
    "wire": {"durability", "intents"},
    "redis": {"durability"},
    "redis-durable": set(),
    "redis-cluster": {"durability", "faults"},
    "redis-shards": {"durability", "faults", "snapshots"},
    "valkey": {"durability"},
    "postgresql": set(),
    "postgresql-psycopg": set(),
    "postgresql-replica": {"faults"},
    "sql-pgbouncer": set(),
    "mariadb": set(),
    "mongo": {"durability", "faults", "snapshots"},
    "s3": {"snapshots"},
}
"""What a backend is not certified for: nothing of it outlives the process, or there is no connection to fail, …"""
NAMES = tuple(NOT_FOR)
EMBEDDED = {"memory", "sql", "wire"}
"""Those that need no server: certified at the full level, and anew with every change of the cases."""

load()


def test_matrix_is_that_of_the_certificates() -> None:
    page = (DOCS / "certifying.md").read_text(encoding="utf-8")
    assert matrix([read_certificate(FOLDER / f"{name}.json") for name in NAMES]) in page


@pytest.mark.parametrize("name", NAMES)
def test_certificate_is_of_the_contract_as_it_is(name: str) -> None:
    certificate = read_certificate(FOLDER / f"{name}.json")
    asked = contract(CURRENT, REGISTRY)
    assert certificate["contract"]["version"] == CURRENT
    if name in EMBEDDED:
        assert certificate["contract"]["requirements_sha256"] == asked.requirements_sha256, "certify it anew"
    level = "full" if name in EMBEDDED else "quick"
    assert (certificate["verdict"], certificate["level"], certificate["waivers"]) == ("certified", level, [])
    assert set(PROFILES) - set(certificate["certified"]) == NOT_FOR[name]
    assert (FOLDER / f"{name}.md").read_text(encoding="utf-8") == certificate_page(certificate)
    assert not list(FOLDER.glob("*.failed.json"))


@pytest.mark.parametrize("name", NAMES)
def test_certificate_names_no_machine(name: str) -> None:
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    assert json.loads(text)
    assert not re.search(r"(?<![\w.:])/(home|root|tmp|work|Users|var)/", text)


def test_backend_on_the_page_is_the_one_that_is_tested() -> None:
    """The third party's repository of the suite's tests is told in full."""
    sources = DOCS.parent / "compliance-tests" / "tests" / "third_party" / "daystore-dbm"
    page = (DOCS / "certifying.md").read_text(encoding="utf-8")
    files = {f"daystore_dbm/{path.name}": path for path in (sources / "src" / "daystore_dbm").glob("*.py")}
    files["pyproject.toml"] = sources / "pyproject.toml"
    for title, path in files.items():
        language = "toml" if path.suffix == ".toml" else "python"
        text = path.read_text(encoding="utf-8")
        assert f'```{language} title="{title}"\n{text}```\n' in page, f"{title} is another one on the page"
