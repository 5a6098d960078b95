"""The rules that plain settings are checked by: each says its check's id and what is allowed."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from django.test import override_settings

from django_topsort import checks
from django_topsort.checks.values import Rule, check_rule


class AnyOther:
    """A value that no setting may have, and that shows itself as what stands for any."""

    def __repr__(self) -> str:
        return "{value}"


@cache
def get_rules() -> dict[str, Rule]:
    """Return the rule of each setting that has one, from all modules of checks."""
    found: dict[str, Rule] = {}
    for info in pkgutil.iter_modules(checks.__path__):
        module = import_module(f"{checks.__name__}.{info.name}")
        for table in vars(module).values():
            if isinstance(table, dict):
                found |= {name: rule for name, rule in table.items() if isinstance(rule, Rule)}
    return found


def ask_rule(name: str, rule: Rule) -> tuple[str, str]:
    """Return what the check of the setting ``name`` says of a wrong value, and its hint."""
    with override_settings(**{name: AnyOther()}):
        (message,) = check_rule(name, rule)
    return str(message.msg), str(message.hint)
