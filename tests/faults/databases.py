"""A real database of one test's own: in a file, or on the server that TEST_DATABASE_URL names."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler

from tests.databases import build_database

URL = os.environ.get("TEST_DATABASE_URL", "")
# MariaDB speaks MySQL's language.
VENDOR = "sqlite" if not URL else URL.partition(":")[0]
OUTBOX = "topsort_outbox_outboxevent"


class Database:
    """What a test knows of the market's database. ``entry`` is its entry of DATABASES."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self.entry = entry
        self.vendor = VENDOR

    @contextmanager
    def connect(self) -> Iterator[BaseDatabaseWrapper]:
        """Open a connection that is not the tests' own."""
        connection = ConnectionHandler({"default": deepcopy(self.entry)})["default"]
        with closing(connection):
            yield connection

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query; ``{}`` in it stands for the outbox's table."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(sql.replace("{}", OUTBOX), values)
            return list(cursor.fetchall()) if cursor.description else []

    def get_rows(self) -> dict[str, str]:
        """Return the status of each event's row."""
        return dict(self.query("SELECT event_id, status FROM {} ORDER BY id"))

    def count(self, status: str) -> int:
        return int(self.query("SELECT COUNT(*) FROM {} WHERE status = %s", status)[0][0])

    def count_orders(self) -> int:
        return int(self.query("SELECT COUNT(*) FROM shop_order")[0][0])

    def make_due(self) -> None:
        """Let the time pass for which rows are leased, put off or left to their process."""
        self.query("UPDATE {} SET due_at = occurred_at WHERE status IN ('pending', 'announced')")

    def multiply_rows(self, times: int, status: str) -> None:
        """Double the outbox so many times; the new rows have another status, and long since."""
        random = {
            "sqlite": "lower(hex(randomblob(32)))",
            "postgresql": "md5(id::text || random()::text)",
            "mysql": "md5(concat(id, rand()))",
        }[self.vendor]
        key = "`key`" if self.vendor == "mysql" else '"key"'
        copied = (
            "destination, kind, event_id, payload, is_announcement, schema_version, attempts,"
            " occurred_at, created_at, due_at, lease_token, last_error"
        )
        for _ in range(times):
            self.query(
                f"INSERT INTO {OUTBOX} ({key}, status, settled_at, {copied})"
                f" SELECT {random}, %s, created_at, {copied} FROM {OUTBOX}",
                status,
            )

    @contextmanager
    def lock_outbox(self) -> Iterator[None]:
        """Let nobody else into the outbox's table; of SQLite into nothing.

        An error where somebody is in it, and stays.
        """
        locks = {
            "sqlite": ["BEGIN EXCLUSIVE"],
            "postgresql": [
                "BEGIN",
                "SET LOCAL lock_timeout = '2s'",
                f"LOCK TABLE {OUTBOX} IN ACCESS EXCLUSIVE MODE",
            ],
            "mysql": ["SET lock_wait_timeout = 2", f"LOCK TABLES {OUTBOX} WRITE"],
        }
        with self.connect() as connection, connection.cursor() as cursor:
            for statement in locks[self.vendor]:
                cursor.execute(statement)
            yield


@contextmanager
def make_database(directory: Path, options: str = "") -> Iterator[Database]:
    """Make an empty database, and remove it whatever is still connected to it.

    ``options``: of CREATE DATABASE.
    """
    if not URL:
        entry = {**build_database(""), "NAME": str(directory / "market.sqlite3")}
        # As Django's documentation advises where several processes write; otherwise the shop's own
        # orders fail for want of the lock.
        entry["OPTIONS"] = {"timeout": 20, "transaction_mode": "IMMEDIATE"}
        yield Database(entry)
        return
    server = Database(build_database(URL))
    name = f"market_{uuid.uuid4().hex[:12]}"
    server.query(f"CREATE DATABASE {name} {options}")
    try:
        yield Database({**server.entry, "NAME": name})
    finally:
        force = " WITH (FORCE)" if VENDOR == "postgresql" else ""
        server.query(f"DROP DATABASE {name}{force}")
