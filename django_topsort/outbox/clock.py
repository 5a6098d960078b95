"""What time it is in the database, by which all hosts that share an outbox agree.

A lease that one host takes and another looks at would be too long or too short by as much as their
clocks differ.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connections
from django.utils import timezone

# Seconds since 1970, as the database counts them. SQLite runs on this host and has its clock.
QUERIES = {
    "postgresql": "SELECT EXTRACT(EPOCH FROM clock_timestamp())",
    "mysql": "SELECT UNIX_TIMESTAMP(SYSDATE(6))",
}
# How far a host's clock may be ahead of the database's without a new row waiting for it.
TOLERANCE = timedelta(minutes=5)


def get_database_time(using: str) -> datetime:
    """Return the time of the database ``using``, as the project's datetimes are (``USE_TZ``)."""
    connection = connections[using]
    query = QUERIES.get(connection.vendor)
    if query is None:
        return build_time(time.time())
    with connection.cursor() as cursor:  # pragma: no cover - PostgreSQL, MariaDB: see .ci/run
        cursor.execute(query)
        return build_time(float(cursor.fetchone()[0]))


def get_host_time() -> datetime:
    """Return the time of this host, as the project's datetimes are."""
    return build_time(time.time())


def build_time(seconds: float) -> datetime:
    """Return the datetime of so many seconds since 1970: aware, or naive without ``USE_TZ``."""
    return adapt_time(datetime.fromtimestamp(seconds, tz=UTC))


def adapt_time(moment: datetime) -> datetime:
    """Return an aware datetime as the project's columns take it."""
    return moment if settings.USE_TZ else timezone.make_naive(moment)
