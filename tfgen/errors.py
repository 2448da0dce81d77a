"""Errors that a user can act on."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something that was passed in cannot be used; the message says what, where and what to do.

    The command line prints the message alone and ends with exit code 2.
    """


class RunWarning(UserWarning):
    """Something that a training goes on without; the command line prints the message alone."""


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Returns "unknown <kind> 'name'" with the nearest known names, or all of them if none is near."""
    known = sorted(known)
    near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known) or 'none'}"
    return f"unknown {kind} {str(name)!r}; {hint}"


def first_line(error: BaseException) -> str:
    """Returns what an error says, cut to one line; its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
