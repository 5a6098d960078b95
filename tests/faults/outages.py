"""A database that goes away and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.faults.databases import Database
from tests.faults.detour import Detour, make_detour


class Outage:
    """Takes a database away from those that use ``entry``, and gives it back."""

    def __init__(self, database: Database, entry: dict[str, Any], detour: Detour | None) -> None:
        self.entry = entry
        self._detour = detour
        self._file = Path(database.entry["NAME"])
        self._aside = self._file.with_suffix(".aside")

    def begin(self) -> None:
        if self._detour is not None:
            self._detour.close()
        else:
            self._file.rename(self._aside)
            self._file.mkdir()  # which nobody can open as a file, nor make anew

    def end(self) -> None:
        if self._detour is not None:
            self._detour.open()
        else:
            self._file.rmdir()
            self._aside.rename(self._file)


@contextmanager
def make_outage(database: Database) -> Iterator[Outage]:
    """Yield the means to take a database away; the entry for those that are to miss it is there."""
    if database.vendor == "sqlite":
        yield Outage(database, database.entry, None)
        return
    with make_detour(database.vendor, database.entry) as (detour, entry):
        yield Outage(database, entry, detour)
