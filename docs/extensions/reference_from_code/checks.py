"""The system checks: every id with its level, what it says and what it advises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from django_topsort.checks.subjects import DEPLOY_CHECKS
from docs.extensions.reference_from_code.builders import Built, find_builders
from docs.extensions.reference_from_code.markdown import join_sections, write_text
from docs.extensions.reference_from_code.rules import ask_rule, get_rules

LEVELS = {"E": "Error", "W": "Warning"}


class Check(NamedTuple):
    """A message of a check: its id without the app's name, what it says, and when it is asked."""

    id: str
    texts: tuple[str, ...]
    hints: tuple[str, ...]
    when: str


def get_checks() -> list[Check]:
    """Return all messages, in the order of their ids."""
    return sorted([*_get_ruled(), *map(_read_builder, find_builders())])


def _get_ruled() -> Iterator[Check]:
    for name, rule in get_rules().items():
        text, hint = ask_rule(name, rule)
        yield Check(rule.id, (text,), (hint,), "manage.py check")


def _read_builder(built: Built) -> Check:
    when = "manage.py check"
    if built.function in {check.__name__ for check in DEPLOY_CHECKS}:
        when = "manage.py check --deploy"
    elif "databases" in built.parameters:
        when = "manage.py check --database NAME"
    return Check(built.id, built.texts, built.hints, when)


def write_checks() -> str:
    """Return a section for each id."""
    return join_sections(map(_write_check, get_checks()))


def _write_check(check: Check) -> str:
    name = f"django_topsort.{check.id}"
    return join_sections(
        [
            f"(check-{check.id})=\n## {name}",
            f"{LEVELS[check.id[0]]}, by `{check.when}`",
            *(f"> {write_text(text)}" for text in check.texts),
            " Or: ".join(f"{write_text(hint)}" for hint in check.hints),
        ]
    ).rstrip()
