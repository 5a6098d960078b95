"""Shoppers who visit a site for as long as a soak takes, and the eye on its memory."""

from __future__ import annotations

import http.client
import itertools
import re
import threading
import time
from collections import Counter
from pathlib import Path

from tests.servers.serving import USER_AGENT, Site
from tests.soak.flapping import POISON

IMPRESSIONS = 3  # on a page
PAGES = ("plain", "template", "stream", "plain-async")
POISON_EVERY = 20  # orders
SAMPLES = 1.0  # seconds between two looks at the memory


class Crowd:
    """So many shoppers of one site, each with a connection and a cookie."""

    def __init__(self, site: Site, count: int, pause: float) -> None:
        self.site = site
        self.said: Counter[str] = Counter()
        self.orders: set[str] = set()
        self.poisons: set[str] = set()
        self.failed_pages = 0
        self.seconds: list[float] = []
        self.kib: list[int] = []
        self._pause = pause
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        names = [f"{site.kind} {number}" for number in range(count)]
        self._threads = [threading.Thread(target=self._shop, name=name) for name in names]
        self._threads.append(threading.Thread(target=self._watch, name=f"{site.kind} memory"))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def visit(self, path: str, cookie: str = "") -> str:
        """Open a page and return the shopper's cookie; count what the page reports."""
        begun = time.monotonic()
        try:
            headers = {"User-Agent": USER_AGENT, **({"Cookie": cookie} if cookie else {})}
            response = self.site.get(path, headers=headers)
            is_well = response.status == 200
        except (OSError, http.client.HTTPException):
            is_well = False
        with self._lock:
            self.seconds.append(time.monotonic() - begun)
            self.failed_pages += not is_well
        found = re.match(r"tsuid=[^;]+", str(response.getheader("Set-Cookie"))) if is_well else None
        return found[0] if found else cookie

    def browse(self, cookie: str = "") -> str:
        """See a page of products."""
        number = next(self._numbers)
        cookie = self.visit(f"/{PAGES[number % len(PAGES)]}/?id={number}", cookie)
        with self._lock:
            self.said["pageviews"] += 1
            self.said["impressions"] += IMPRESSIONS
        return cookie

    def _shop(self) -> None:
        while not self._is_over.is_set():
            cookie = self.browse(self.browse())
            if cookie:  # a streamed page has none to give
                self.visit("/click/", cookie)
                self._order(cookie)
                with self._lock:
                    self.said["clicks"] += 1
            self._is_over.wait(self._pause)

    def _order(self, cookie: str) -> None:
        number = next(self._numbers)
        is_poison = number % POISON_EVERY == 0
        order = f"{self.site.kind}-{number}{f'-{POISON}' if is_poison else ''}"
        self.visit(f"/pay/?id={order}", cookie)
        with self._lock:
            self.said["purchases"] += 1
            (self.poisons if is_poison else self.orders).add(order)

    def _watch(self) -> None:
        while not self._is_over.wait(SAMPLES):
            self.kib.append(measure_tree(self.site.process.pid))


def measure_tree(root: int) -> int:
    """Return the KiB of memory that a process and its descendants take."""
    parents, sizes = {}, {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            status = (directory / "status").read_text(encoding="utf-8", errors="replace")
        except OSError:  # it has just ended
            continue
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        parents[int(directory.name)] = int(fields["PPid"])
        sizes[int(directory.name)] = int(fields.get("VmRSS", "0").split()[0])
    tree = {root}
    while more := {pid for pid, parent in parents.items() if parent in tree} - tree:
        tree |= more
    return sum(sizes.get(pid, 0) for pid in tree)
