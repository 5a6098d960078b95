from __future__ import annotations

import pytest

from tests.databases import build_database


def test_database_without_a_url_is_sqlite_in_memory() -> None:
    assert build_database("") == {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}


def test_database_of_a_server_is_read_from_its_url() -> None:
    assert build_database("postgresql://shop:p%40ss@db.example:5433/tests?sslmode=require") == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "tests",
        "USER": "shop",
        "PASSWORD": "p@ss",
        "HOST": "db.example",
        "PORT": "5433",
        "OPTIONS": {"sslmode": "require"},
    }


def test_database_of_a_socket_has_no_host() -> None:
    database = build_database("postgresql://shop@/tests?host=/run/postgresql")

    assert database["HOST"] == database["PORT"] == ""
    assert database["OPTIONS"] == {"host": "/run/postgresql"}


def test_database_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'oracle' is not known; it is one of"):
        build_database("oracle://shop@db.example/tests")
