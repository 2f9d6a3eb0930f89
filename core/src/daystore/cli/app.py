"""The command line: one sub-command for each that a plugin registers, the core's own among them."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter

from daystore.config.secrets import mask_text
from daystore.errors import ConfigError, DaystoreError
from daystore.plugins import Plugins

__all__ = ["run"]

_Debug = Annotated[bool, Parameter(negative="", help="Show where an error comes from.")]
FOUND_WRONG, NOT_USABLE, DEFECT = 1, 2, 70


def run(arguments: Sequence[str]) -> int:
    """Run a command line, return its exit code. An error is one message; ``--debug`` shows its traceback."""
    debug = "--debug" in arguments
    try:
        return _run(arguments)
    except CycloptsError:
        return NOT_USABLE  # cyclopts has printed it
    except ConfigError as error:
        return _fail(str(error), NOT_USABLE, debug=debug)
    except DaystoreError as error:
        return _fail(f"{type(error).__name__}: {error}", FOUND_WRONG, debug=debug)
    except BrokenPipeError:
        # Whoever read the output has gone; nothing more may be written when Python flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FOUND_WRONG
    except Exception as error:  # noqa: BLE001 - the last place that can make a message of it
        text = f"unexpected {type(error).__name__}: {mask_text(str(error))} (--debug shows where)"
        return _fail(text, DEFECT, debug=debug)


def _fail(message: str, code: int, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    sys.stderr.write(f"daystore: {message}\n")
    return code


def _run(arguments: Sequence[str]) -> int:
    plugins = Plugins.load(strict=False)
    if command := next((argument for argument in arguments if not argument.startswith("-")), None):
        # Imported before cyclopts does it, for an error that says whose it is and what to install.
        plugins.command(command)
    app = _build(plugins)

    @app.meta.default
    def launch(
        *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
        debug: _Debug = False,  # noqa: ARG001 - read by `run`
    ) -> int:
        result = app(tokens, exit_on_error=False, result_action="return_value")
        return result if isinstance(result, int) else 0

    result = app.meta(list(arguments), exit_on_error=False, result_action="return_value")
    return result if isinstance(result, int) else 0


def _build(plugins: Plugins) -> App:
    app = App(
        name="daystore",
        help="Storage for AI agents: contexts, memories and events on a backend chosen by name.",
        version=metadata.version("daystore"),
        help_format="plaintext",
    )
    for command in plugins.commands.values():
        app.command(command.app, name=command.name, help=command.summary)
    return app
