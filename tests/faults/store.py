"""A shop in a process of its own, and the comparison of its books with what the API took."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from django_topsort.events import EVENT_KINDS
from django_topsort.testing import FakeApi
from tests.servers.serving import USER_AGENT, Site, serve

KEY = "TSE_servers"
# Long enough for a machine that has other things to do; a test that passes never waits for it.
PATIENCE = 60.0
# What a page may take on such a machine, where no page takes 50 ms; what it is not to wait for is
# longer than that.
PAGE_SECONDS = 2.0
# Pauses as short as a test can wait for.
QUICKLY = {
    "SHORTEST_PAUSE": 0.2,
    "LONGEST_PAUSE": 0.5,
    "CONFIGURATION_PAUSE": 0.5,
    "LONGEST_BACKOFF": 1.0,
}

SETTINGS: dict[str, Any] = {
    "ROOT_URLCONF": "tests.faults.store_urls",
    "TOPSORT_FLUSH_INTERVAL": 0.1,
    "TOPSORT_TIMEOUT": [1.0, 1.0],
}

Event = tuple[str, str]


class Store:
    """A site that records what a test wants, and knows what that was."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.recorded: list[Event] = []
        self._log_start = 0

    def call(self, path: str, **query: str) -> Any:
        """Return what a view answers, as JSON; it must come as quickly as any page."""
        connection = self.site.connect()
        try:
            begun = time.monotonic()
            target = f"/{path}/?{urlencode(query)}"
            connection.request("GET", target, headers={"User-Agent": USER_AGENT})
            with connection.getresponse() as response:
                body = response.read()
            assert response.status == 200, body
            seconds = float(query.get("seconds", "0"))
            assert time.monotonic() - begun < seconds + PAGE_SECONDS, f"/{path}/ was slow"
        finally:
            connection.close()
        return json.loads(body)

    def renew(self, api_url: str, *, pauses: Any = None, **settings: Any) -> None:
        """Begin anew, with these settings besides those of the site."""
        told = {"settings": {"TOPSORT_API_URL": api_url, **settings}, "pauses": pauses or {}}
        self.call("renew", to=json.dumps(told))
        self.recorded.clear()
        self._log_start = len(self.site.read_log())

    def change(self, **told: Any) -> None:
        self.call("change", to=json.dumps(told))

    def record(self, kind: str, count: int, prefix: str, *, items: int = 1) -> float:
        """Record so many events on one page, ``prefix-0`` and on; return the seconds it took."""
        self.recorded += [(kind, f"{prefix}-{number}") for number in range(count)]
        answer = self.call("record", kind=kind, prefix=prefix, count=str(count), items=str(items))
        return float(answer["seconds"])

    def record_all_kinds(self, count: int, prefix: str) -> None:
        for kind in EVENT_KINDS:
            self.record(kind, count, f"{prefix}-{kind}")

    def read_books(self) -> Any:
        """Return the books, having looked at them: they add up at every moment."""
        books = self.call("books")
        for kind, counts in books["counts"].items():
            ended = [counts[name] for name in ("delivered", "rejected", "dropped")]
            assert counts["recorded"] == sum(ended) + counts["waiting"], kind
            assert counts["waiting"] >= 0, (kind, counts)
            assert counts["recorded"] <= sum(1 for one, _ in self.recorded if one == kind)
        return books

    def wait(self, kinds: tuple[str, ...] = EVENT_KINDS, timeout: float = PATIENCE) -> Any:
        """Return the books when nothing (of some kinds) waits any more."""
        deadline = time.monotonic() + timeout
        while any((books := self.read_books())["counts"][kind]["waiting"] for kind in kinds):
            assert time.monotonic() < deadline, f"still waiting: {books['counts']}"
            time.sleep(0.05)
        return books

    def close_books(self, api: FakeApi) -> Any:
        """Return the books when all is settled, and compare them, id by id, with the API's."""
        books = self.wait()
        taken = [(event.kind, event["id"]) for event in api.events]
        said = [(kind, one) for kind, one in books["delivered"]]
        lost = [(kind, one) for kind, one, *_ in books["rejected"] + books["dropped"]]
        assert sorted(taken) == sorted(said)
        assert sorted(taken + lost) == sorted(self.recorded)
        assert api.altered == []
        for kind, counts in books["counts"].items():
            found = {
                "recorded": [one for one in self.recorded if one[0] == kind],
                "delivered": [one for one in taken if one[0] == kind],
                "rejected": [one for one in books["rejected"] if one[0] == kind],
                "dropped": [one for one in books["dropped"] if one[0] == kind],
            }
            assert {name: counts[name] for name in found} == {
                name: len(some) for name, some in found.items()
            }
        return books

    def close_books_without_loss(self, api: FakeApi) -> Any:
        books = self.close_books(api)
        assert (books["rejected"], books["dropped"]) == ([], [])
        return books

    def read_log(self) -> list[str]:
        """Return the lines since the last ``renew``."""
        return self.site.read_log()[self._log_start :].splitlines()

    def wait_for_line(self, text: str) -> None:
        """Wait until the log has a line with ``text``."""
        deadline = time.monotonic() + PATIENCE
        while not self.find_lines(text):
            assert time.monotonic() < deadline, f"{text} is not in the log"
            time.sleep(0.05)

    def find_lines(self, text: str) -> list[str]:
        return [line for line in self.read_log() if text in line]


@contextmanager
def open_store(log_path: Path, **settings: Any) -> Iterator[Store]:
    """Run a store in a process of its own, for a test that ends it."""
    with serve("gunicorn-gthread", log_path, **{**SETTINGS, **settings}) as site:
        yield Store(site)
