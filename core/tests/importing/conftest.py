"""What the tests of importing share."""

import gzip
import json
import os
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

SAMPLE = Path(str(files("daystore") / "data" / "sample-transcripts.json"))


@pytest.fixture
def sample() -> Path:
    """The transcripts that come with daystore."""
    return SAMPLE


@pytest.fixture
def transcripts() -> Path:
    """The largest real file at hand: DAYSTORE_TRANSCRIPTS, one beside the checkout, or the bundled sample."""
    if named := os.environ.get("DAYSTORE_TRANSCRIPTS"):
        return Path(named)
    for directory in Path(__file__).resolve().parents:
        shared = directory / "shared" / "data" / "agent-transcripts.json.gz"
        if shared.exists():
            return shared
    return SAMPLE


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, object], Path]:
    """Write a file: bytes and text as they are, lists of lines for .jsonl, anything else as JSON."""

    def write_file(name: str, content: object) -> Path:
        if isinstance(content, bytes):
            data = content
        elif isinstance(content, str):
            data = content.encode()
        elif ".jsonl" in name and isinstance(content, list):
            data = b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in content)
        else:
            data = json.dumps(content, ensure_ascii=False).encode()
        path = tmp_path / name
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write_file
