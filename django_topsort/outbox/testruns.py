"""Whether this process runs the project's tests, and whether they are over.

Django gives a database another name for the tests, and its own back when they are over. Python's
exit hooks come after that: what the memory has left by then must not go where the shop's own events
are, and nobody may send these from a test.
"""

from __future__ import annotations

from django.db import connections


class TestRun:
    """Compares the names of the databases with those that they had when the project was loaded."""

    __test__ = False  # pytest looks for tests in what is called so

    def __init__(self) -> None:
        self._names = get_names()
        self._has_begun = False

    def look(self) -> bool:
        """Return whether a database has another name now, or has had one before."""
        self._has_begun = self._has_begun or get_names() != self._names
        return self._has_begun

    @property
    def is_over(self) -> bool:
        """Whether there were tests, and the databases are the shop's own again."""
        return self._has_begun and get_names() == self._names


def get_names() -> dict[str, object]:
    """Return the names of the databases by their aliases."""
    return {alias: entry.get("NAME") for alias, entry in connections.databases.items()}


test_run = TestRun()
