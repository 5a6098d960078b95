"""The management commands: from their own parsers."""

from __future__ import annotations

from argparse import SUPPRESS, Action
from collections.abc import Iterator

from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand

from docs.extensions.reference_from_code.markdown import join_sections, write_code, write_table

PREFIX = "topsort_"


def get_own_commands() -> dict[str, BaseCommand]:
    """Return this package's commands by their names."""
    return {
        name: load_command_class(app, name)
        for name, app in sorted(get_commands().items())
        if name.startswith(PREFIX)
    }


def get_arguments(name: str, command: BaseCommand) -> Iterator[Action]:
    """Yield the arguments that are the command's own, and not those of all of Django's."""
    others = {action.dest for action in _get_actions(BaseCommand(), name)}
    for action in _get_actions(command, name):
        if action.dest not in others and action.help != SUPPRESS:
            yield action


def _get_actions(command: BaseCommand, name: str) -> list[Action]:
    return command.create_parser("manage.py", name)._actions  # argparse has no other


def write_commands() -> str:
    """Return a section for each command."""
    return join_sections(
        _write_command(name, command) for name, command in get_own_commands().items()
    )


def _write_command(name: str, command: BaseCommand) -> str:
    rows = [_write_argument(action) for action in get_arguments(name, command)]
    table = write_table(("argument", "what it does"), rows) if rows else ""
    synopsis = f"```console\nmanage.py {name}{_write_synopsis(name, command)}\n```"
    heading = f"(command-{name})=\n## {name}"
    return join_sections([heading, synopsis, command.help, table]).rstrip()


def _write_synopsis(name: str, command: BaseCommand) -> str:
    needed = [action for action in get_arguments(name, command) if not action.option_strings]
    return "".join(f" {action.metavar or action.dest.upper()}" for action in needed)


def _write_argument(action: Action) -> tuple[str, str]:
    name = ", ".join(action.option_strings) or str(action.metavar or action.dest.upper())
    if action.option_strings and action.nargs != 0:
        name += f" {_write_metavar(action)}"
    parts = [(action.help or "").replace("%(default)s", str(action.default))]
    if action.choices and not all(str(choice) in parts[0] for choice in action.choices):
        parts.append(f"one of {', '.join(map(str, action.choices))}")
    if action.default not in (None, False, SUPPRESS, "") and "default" not in parts[0]:
        parts.append(f"default: {action.default}")
    return write_code(name), "; ".join(part for part in parts if part)


def _write_metavar(action: Action) -> str:
    metavar = action.metavar or action.dest.upper()
    text = metavar if isinstance(metavar, str) else " ".join(metavar)
    return f"{text} ..." if action.nargs in ("+", "*") else text
