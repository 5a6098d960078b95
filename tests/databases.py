"""Which database the tests run on: SQLite in memory, or the server that TEST_DATABASE_URL names."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

ENGINES = {
    "postgresql": "django.db.backends.postgresql",
    "mysql": "django.db.backends.mysql",
}


def build_database(url: str) -> dict[str, Any]:
    """Return the entry of DATABASES for ``postgresql://user:password@host:port/name?option=value``.

    A socket is given as the option that the driver has for it: ``host`` or ``unix_socket``.
    """
    if not url:
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    parts = urlsplit(url)
    if parts.scheme not in ENGINES:
        message = f"TEST_DATABASE_URL: {parts.scheme!r} is not known; it is one of {[*ENGINES]}"
        raise ValueError(message)
    if parts.scheme == "mysql":  # pragma: no cover
        stand_in_for_mysqlclient()
    return {
        "ENGINE": ENGINES[parts.scheme],
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "OPTIONS": dict(parse_qsl(parts.query)),
    }


def build_file_database() -> dict[str, Any]:
    """Return the entry of a SQLite database that threads can share, which one in memory is not.

    In a file of this process's own: a run of the tests has several.
    """
    name = Path(tempfile.gettempdir()) / f"django-topsort-{os.getpid()}.sqlite3"
    return {**build_database(""), "TEST": {"NAME": str(name)}}


def stand_in_for_mysqlclient() -> None:  # pragma: no cover
    """Let PyMySQL, which needs no compiler, take the place of mysqlclient."""
    import pymysql  # type: ignore[import-untyped,import-not-found,unused-ignore]

    pymysql.version_info = (2, 2, 7, "final", 0)
    pymysql.install_as_MySQLdb()
