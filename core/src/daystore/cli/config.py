"""``daystore config``: what the configuration says, and where each value was written."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from daystore.cli.output import print_json, print_table
from daystore.config import Setting, load

__all__ = ["app"]

app: App = App(name="config", help="Show the configuration.")


@app.command
def show(*, file: Path | None = None, json: bool = False) -> int:
    """Show each value and where it was written, secrets masked.

    Args:
        file: The TOML or YAML file to read, instead of the one that is found.
        json: Print JSON instead of a table.
    """
    config = load(file)
    if json:
        print_json([_entry(setting) for setting in config.settings])
    else:
        rows = [(s.key, _text(s.value), str(s.origin)) for s in config.settings]
        print_table(("key", "value", "origin"), rows, wrapped={"value", "origin"})
    return 0


def _entry(setting: Setting) -> dict[str, object]:
    origin = setting.origin
    return {
        "key": setting.key,
        "value": setting.value,
        "origin": {"kind": origin.kind, "where": origin.where, "variables": list(origin.variables)},
    }


def _text(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
