"""A table that is missing is said where databases are checked."""

from __future__ import annotations

import sys

import pytest
from django.core.checks import CheckMessage, Tags, run_checks
from django.db import connection

from django_topsort.outbox.models import OutboxEvent

pytestmark = pytest.mark.django_db(transaction=True)


def find(*databases: str) -> list[CheckMessage]:
    messages = run_checks(tags=[Tags.database], databases=databases)
    return [message for message in messages if str(message.id).startswith("django_topsort")]


def run(*databases: str) -> list[str]:
    return [str(message.id) for message in find(*databases)]


def test_table_that_is_there_is_no_matter() -> None:
    assert run("default") == []


def test_table_that_is_missing_is_a_warning_but_for_migrate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with connection.schema_editor() as editor:
        editor.delete_model(OutboxEvent)
    try:
        assert run("default") == ["django_topsort.W013"]
        assert run() == []
        (message,) = find("default")
        assert "has no table topsort_outbox_outboxevent" in message.msg
        assert "migrate topsort_outbox zero --fake --database default" in str(message.hint)
        monkeypatch.setattr(sys, "argv", ["manage.py", "migrate"])
        assert run("default") == []
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(OutboxEvent)
