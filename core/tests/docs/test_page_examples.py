"""What the pages print is run as it is printed.

The blocks of a page are one session, from top to bottom, in an empty directory:

- ``python`` runs. The blocks share their names and one event loop, and may await at the top.
- A block with a file name as its title is written to that file. A ``pyproject.toml`` is installed, any other TOML
  or YAML file is loaded as a configuration.
- ``console`` runs each line after ``$ ``, which has to end well. The lines below it are what it prints.
- ``text`` with the title *Output* is what the block before it prints.

In what is printed, ``…`` stands for anything.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest

from daystore.config import load
from daystore.plugins import default_plugins

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
QUICK_START_LINES = 15

_FENCE = re.compile(
    r'^```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL
)
_FILE_NAME = re.compile(r"[\w./-]+\.\w+")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its title if it has one, its text, and where that begins."""

    language: str
    title: str | None
    text: str
    page: str
    line: int

    @property
    def is_file(self) -> bool:
        return self.title is not None and _FILE_NAME.fullmatch(self.title) is not None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(path: Path) -> list[Block]:
    name, text = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    blocks = []
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start("text")) + 1
        blocks.append(Block(found["language"], found["title"], found["text"], name, line))
    return blocks


class Session:
    """Runs the blocks of one page in one directory."""

    def __init__(self, directory: Path, loop: asyncio.Runner, module: ModuleType) -> None:
        self.directory = directory
        self.loop = loop
        self.names = vars(module)
        self.printed = ""

    def run(self, block: Block) -> None:
        if block.is_file:
            self.write(str(block.title), block.text)
        elif block.language == "python":
            self.printed = self.python(block)
        elif block.language == "console":
            self.printed = self.console(block)
        elif block.title == "Output":
            assert matches(self.printed, block.text), f"{block}: the block before it prints\n{self.printed}"

    def write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if name == "pyproject.toml":
            install(tomllib.loads(text)["project"], self.directory)
        elif path.suffix in {".toml", ".yaml"}:
            load(path, {})

    def python(self, block: Block) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = compiled(block)
            result = eval(code, self.names)
            if code.co_flags & inspect.CO_COROUTINE:
                self.loop.run(result)
        return printed.getvalue()

    def console(self, block: Block) -> str:
        printed = ""
        commands = re.split(r"^\$ (.*)\n", block.text, flags=re.MULTILINE)[1:]
        for line, expected in zip(commands[::2], commands[1::2], strict=True):
            found = command(line, self.directory, str(block))
            assert not expected or matches(found, expected), f"{block}: {line!r} prints\n{found}"
            printed += found
        return printed


def matches(printed: str, expected: str) -> bool:
    """Tell whether a text is the expected one: indents and widths aside, and with ``…`` for anything."""
    found, wanted = (
        "\n".join(" ".join(line.split()) for line in t.splitlines()) for t in (printed, expected)
    )
    pattern = r"[\s\S]*?".join(map(re.escape, wanted.strip().split("…")))
    return re.fullmatch(pattern, found.strip()) is not None


def compiled(block: Block) -> CodeType:
    """Compile a block so that a traceback names the page and its line."""
    tree = ast.increment_lineno(ast.parse(block.text, str(block)), block.line - 1)
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code: CodeType = compile(tree, block.page, "exec", flags=flags, dont_inherit=True)
    return code


def command(line: str, directory: Path, where: str) -> str:
    """Run a command line as a user would, and return what it prints."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("DAYSTORE_", "PYTEST_"))
    }
    environment |= {
        "PATH": os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]),
        "PYTHONPATH": str(directory),
        "HOME": str(directory),
        "COLUMNS": "110",
        "NO_COLOR": "1",
    }
    done = subprocess.run(
        ["sh", "-c", line], cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (
        f"{where}: {line!r} ends with {done.returncode}\n{done.stdout}\n{done.stderr}"
    )
    return done.stdout


def install(project: dict[str, Any], directory: Path) -> None:
    """Make a distribution of the files in a directory: what an installer writes, without building it."""
    name, version = project["name"], project["version"]
    info = directory / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = []
    for group, entries in project.get("entry-points", {}).items():
        lines += [f"[{group}]", *(f"{entry} = {target}" for entry, target in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    default_plugins.cache_clear()  # as in a process that begins now


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session in an empty directory, whose modules can be imported and are forgotten afterwards."""
    for name in [name for name in os.environ if name.startswith("DAYSTORE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    module = ModuleType("page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    before = set(sys.modules)
    with asyncio.Runner() as loop:
        yield Session(tmp_path, loop, module)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
    default_plugins.cache_clear()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_page_runs_as_printed(path: Path, session: Session) -> None:
    for block in blocks_of(path):
        session.run(block)


def test_quick_start_is_short() -> None:
    first = next(block for block in blocks_of(ROOT / "README.md") if block.language == "python")
    assert len(first.text.splitlines()) <= QUICK_START_LINES


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_configuration_has_a_file_name_and_so_is_loaded(path: Path) -> None:
    assert [
        str(block) for block in blocks_of(path) if block.language in {"toml", "yaml"} and not block.is_file
    ] == []
