"""docs/howto/django-tasks.md is right: its settings, its command, and every name in it."""

from __future__ import annotations

import re
from importlib import import_module
from pkgutil import resolve_name
from typing import Any

import pytest
from django.core.management import get_commands

from django_topsort.backends import tasks
from django_topsort.conf import SETTINGS
from tests.backends.test_tasks import set_tasks
from tests.readme import ROOT, get_blocks

PAGE = (ROOT / "docs" / "howto" / "django-tasks.md").read_text(encoding="utf-8")
BLOCKS = [block for block in get_blocks(PAGE) if block.language == "python"]
CONSOLES = [block for block in get_blocks(PAGE) if block.language == "console"]


def test_settings_have_names_that_exist_and_an_engine_that_does(settings: Any) -> None:
    values: dict[str, Any] = {"INSTALLED_APPS": []}
    for block in BLOCKS:
        if block.title == "mysite/settings.py":
            exec(block.text, values)
    for path in values["TOPSORT_BACKENDS"].values():
        assert resolve_name(path) is not None
    assert {name for name in values if name.startswith("TOPSORT_")} <= set(SETTINGS)
    assert values["TOPSORT_ENGINE_QUEUE"] in values["TASKS"]["default"]["QUEUES"]
    pytest.importorskip("django_tasks_db")
    settings.TOPSORT_ENGINE_QUEUE = values["TOPSORT_ENGINE_QUEUE"]
    set_tasks(settings, values["TASKS"])
    # These tests have not its app, which the page adds, and need no other word.
    (message,) = tasks.EventBackend().check()
    assert "'django_tasks_db', which is no app here" in message.msg
    assert "django_tasks_db" in values["INSTALLED_APPS"]
    set_tasks(settings, {})


def test_command_finds_tasks_by_the_name_that_they_have() -> None:
    title = "shop/management/commands/free_tasks.py"
    (command,) = [block for block in BLOCKS if block.title == title]

    compile(command.text, command.title, "exec")
    assert f'"{tasks.SEND_EVENTS}"' in command.text
    assert (
        import_module("django_topsort.engines.tasks").send_events.module_path == tasks.SEND_EVENTS
    )


def test_commands_install_what_there_is_and_run_what_there_is() -> None:
    lines = [line for block in CONSOLES for line in block.text.splitlines()]
    commands = {line.split()[2] for line in lines if line.startswith("python manage.py")}

    assert len(lines) == 7
    assert commands == {"migrate", "check", "db_worker", "prune_db_task_results", "topsort_relay"}
    assert 'python -m pip install "django-topsort[tasks]" "django-tasks-db[compat]"' in lines


def test_names_exist() -> None:
    for name in re.findall(r"\b(django_topsort(?:\.\w+)+)", PAGE):
        assert resolve_name(name) is not None
    assert set(re.findall(r"\bTOPSORT_[A-Z_]+\b", PAGE)) <= set(SETTINGS)
    assert set(re.findall(r"manage.py (topsort_\w+)", PAGE)) <= set(get_commands())
