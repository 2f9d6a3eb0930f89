"""Checking the options of an adapter or a middleware against their model, before anything is made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from daystore.config.durations import parse_timeout
from daystore.config.problems import KeyPath, Problem, format_path, pydantic_problems
from daystore.config.spelling import did_you_mean
from daystore.config.switches import parse_switch
from daystore.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["COMMON_OPTIONS", "adapter_options", "check_adapter_options", "check_options"]

COMMON_OPTIONS: Final = ("namespace", "timeout", "coalesce", "clock")
"""What every adapter takes beside the options of its own model."""

_PARSED: Final[Mapping[str, Callable[[object], object]]] = {
    "timeout": parse_timeout,
    "coalesce": parse_switch,
}


def check_options(
    model: type[BaseModel] | None, options: Mapping[str, object]
) -> tuple[dict[str, object], list[Problem]]:
    """Check options against their model.

    Args:
        model: ``None`` if there are no options.
        options: By name, as they were given.

    Returns:
        The options as the model understands them, so that a number that came as text is a number; and what is
        wrong.
    """
    if model is None:
        return dict(options), [Problem((name,), "unknown key, there are no options") for name in options]
    from pydantic import ValidationError

    names = [field.alias or name for name, field in model.model_fields.items()]

    def known(path: KeyPath) -> list[str]:
        return [] if path else names

    try:
        checked = model.model_validate(dict(options))
    except ValidationError as error:
        return dict(options), pydantic_problems(error, known)
    return {**(checked.model_extra or {}), **{n: getattr(checked, n) for n in checked.model_fields_set}}, []


def check_adapter_options(
    model: type[BaseModel] | None, options: Mapping[str, object]
) -> tuple[dict[str, object], list[Problem]]:
    """Check an adapter's own options together with those that every adapter takes.

    Args:
        model: The model of the adapter's own options; ``None`` if it has none.
        options: By name, as they were given.

    Returns:
        As for `check_options`.
    """
    common = {name: options[name] for name in COMMON_OPTIONS if name in options}
    own = {name: value for name, value in options.items() if name not in COMMON_OPTIONS}
    checked, problems = check_options(model, own)
    for name, parse in _PARSED.items():
        if name in common:
            try:
                common[name] = parse(common[name])
            except (TypeError, ValueError) as error:
                problems.append(Problem((name,), str(error)))
    if "clock" in common and not callable(common["clock"]):
        problems.append(Problem(("clock",), "a clock is a function, which only code can give"))
    return {**common, **checked}, problems


def adapter_options(
    adapter: str, model: type[BaseModel] | None, options: Mapping[str, object]
) -> dict[str, object]:
    """Return options as an adapter's ``from_url`` takes them.

    Args:
        adapter: Its name, for messages.
        model: The model of the adapter's own options; ``None`` if it has none.
        options: By name, as they were given.

    Raises:
        ConfigError: Listing every mistake.
    """
    checked, problems = check_adapter_options(model, options)
    if problems:
        names = [*COMMON_OPTIONS, *(model.model_fields if model else ())]
        raise ConfigError("; ".join(_sentence(adapter, problem, names) for problem in problems))
    return checked


def _sentence(adapter: str, problem: Problem, names: list[str]) -> str:
    if problem.message.startswith("unknown key") and len(problem.path) == 1:
        name = str(problem.path[0])
        return f"the adapter {adapter!r} has no option {name!r}{did_you_mean(name, names)}"
    return f"option {format_path(problem.path)!r} of the adapter {adapter!r}: {problem.message}"
