"""Configurations read in an empty directory, with the plugins of the fixture `good`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from daystore.config import Config, load
from daystore.errors import ConfigError
from daystore.plugins import Plugins

Read = Callable[..., Config]


@pytest.fixture
def plugins(install: Callable[..., Path]) -> Plugins:
    install("good")
    return Plugins.load({"DAYSTORE_PLUGINS": "good"})


@pytest.fixture
def read(plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Reads a configuration; a text is written to ``agent.toml`` first."""
    directory = tmp_path / "config"
    directory.mkdir()
    monkeypatch.chdir(directory)

    def read_source(
        source: Mapping[str, object] | str | None = None,
        overrides: Mapping[str, object] | None = None,
        *,
        file: str = "agent.toml",
        **environ: str,
    ) -> Config:
        path: Any = source
        if isinstance(source, str):
            Path(file).write_text(source)
            path = file
        return load(path, environ, overrides=overrides, plugins=plugins)

    return read_source


@pytest.fixture
def mistakes(read: Read) -> Callable[..., list[str]]:
    """Reads a configuration that is wrong; returns the lines of the error."""

    def read_wrong(*arguments: Any, **keywords: Any) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            read(*arguments, **keywords)
        assert caught.value.__context__ is None, "pydantic's error shows the values"
        return [line.strip() for line in str(caught.value).splitlines()]

    return read_wrong
