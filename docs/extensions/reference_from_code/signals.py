"""The signals: from ``signals.py``, whose comments name the arguments of each."""

from __future__ import annotations

import inspect
import re
from typing import NamedTuple

from django.dispatch import Signal

from django_topsort import receivers, signals
from docs.extensions.reference_from_code.markdown import join_sections, write_code, write_docstring

DECLARED = re.compile(r"((?:^#.*\n)+)(\w+) = Signal\(\)", re.MULTILINE)


class Declared(NamedTuple):
    """A signal: its name, what the comment above it says, and whether shops send it."""

    name: str
    says: str
    is_sent_by_shops: bool


def get_signals() -> list[Declared]:
    """Return the signals in the order of the module. Raises ValueError for one without comment."""
    source = inspect.getsource(signals)
    found = []
    for comment, name in DECLARED.findall(source):
        says = " ".join(line.strip("# ") for line in comment.splitlines())
        # Those that we receive our module of receivers imports; the others we announce.
        found.append(Declared(name, says, is_sent_by_shops=hasattr(receivers, name)))
    names = [name for name, value in vars(signals).items() if isinstance(value, Signal)]
    if names != [one.name for one in found]:
        message = f"signals.py: a comment above each of {', '.join(names)} must name its arguments"
        raise ValueError(message)
    return found


def write_signals() -> str:
    """Return a section for each signal, first those that shops send."""
    found = get_signals()
    return join_sections(
        [
            write_docstring(signals).partition("\n\n")[2],
            "## What shops send",
            *(_write_signal(one) for one in found if one.is_sent_by_shops),
            "## What we announce",
            *(_write_signal(one) for one in found if not one.is_sent_by_shops),
        ]
    )


def _write_signal(one: Declared) -> str:
    path = write_code(f"{signals.__name__}.{one.name}")
    return f"(signal-{one.name})=\n### {one.name}\n\n{path}\n\n{one.says}"
