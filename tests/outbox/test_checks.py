"""A table that is missing is said where databases are checked."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.checks import Tags, run_checks
from django.core.management import call_command
from django.db import connection

from django_topsort.outbox.models import OutboxEvent

pytestmark = pytest.mark.django_db(transaction=True)


def run(*databases: str) -> list[str]:
    messages = run_checks(tags=[Tags.database], databases=databases)
    return [str(message.id) for message in messages if str(message.id).startswith("django_topsort")]


def test_table_that_is_there_is_no_matter() -> None:
    assert run("default") == []


def test_table_that_is_missing_is_a_warning_that_lets_migrate_go_on() -> None:
    with connection.schema_editor() as editor:
        editor.delete_model(OutboxEvent)
    try:
        assert run("default") == ["django_topsort.W013"]
        assert run() == []
        output = StringIO()
        call_command("migrate", "topsort_outbox", stdout=output, stderr=output, skip_checks=False)
        assert "has no table topsort_outbox_outboxevent" in output.getvalue()
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(OutboxEvent)
