"""The nearest right spelling of a name that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to `word`, or ``None`` if none is close."""
    from difflib import get_close_matches

    by_folded = {name.lower(): name for name in known}
    matches = get_close_matches(word.lower(), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str = "known") -> str:
    """Return how an error message goes on after naming an unknown word.

    Args:
        word: What was written.
        known: What could have been written.
        otherwise: What introduces the list of known names, where none is close.

    Returns:
        ``"; did you mean 'x'?"``, or ``"; known: 'x', 'y'"``, or nothing if nothing is known.
    """
    names = sorted(known)
    if match := nearest(word, names):
        return f"; did you mean {match!r}?"
    return f"; {otherwise}: {', '.join(map(repr, names))}" if names else ""
