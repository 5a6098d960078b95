"""A check of the outbox's table, for whoever has forgotten to migrate."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from django.core.checks import Warning  # noqa: A004 - Django's name for it
from django.db import connections

from django_topsort.outbox.models import OutboxEvent
from django_topsort.outbox.store import get_outbox_database

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.core.checks import CheckMessage


def check_outbox_table(
    app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Warn of a database without the outbox's table, as ``check --database`` asks.

    No error: ``migrate`` of another app has such checks made, too.
    """
    using = get_outbox_database()
    if using not in (databases or ()) or sys.argv[1:2] == ["migrate"]:
        return []  # it is about to be made
    with connections[using].cursor() as cursor:
        names = connections[using].introspection.table_names(cursor)
    if OutboxEvent._meta.db_table in names:
        return []
    text = (
        f"The database {using!r} has no table {OutboxEvent._meta.db_table}: purchases go by way of"
        " memory, and are lost if the process is killed."
    )
    hint = (
        f"Run manage.py migrate topsort_outbox --database {using}. If Django then says that there"
        " is nothing to do, a router has kept the table away before: let Django forget it first,"
        f" with manage.py migrate topsort_outbox zero --fake --database {using}."
    )
    return [Warning(text, hint=hint, id="django_topsort.W013")]
