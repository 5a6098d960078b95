"""A shop in a process of its own, what it says when it closes, and whether its books are right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django_topsort.testing import FakeApi
from tests.scripts import ROOT

KEY = "TSE_canary-in-a-mine-0123456789"
SECONDS = 120.0  # for machines with other things to do: no script takes a tenth of it when alone
KINDS = ("impressions", "clicks", "purchases", "pageviews")
OPENING = "from tests.faults.shop import *\nopen_shop()\n"
CLOSING = "\nclose_shop()\n"

_told: dict[str, Any] = {}
_given_up: dict[str, list[str]] = {}
_rejected: list[str] = []


# In the shop's process


class Watch(threading.Thread):
    """Looks at the accounts all the while, and notes what does not add up."""

    def __init__(self) -> None:
        super().__init__(name="watch", daemon=True)
        self.over = threading.Event()
        self.looks = 0
        self.faults: list[str] = []

    def run(self) -> None:
        before: dict[str, dict[str, Any]] = {}
        while not self.over.wait(0.002):
            before = self.look(before)

    def look(self, before: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        from django_topsort.accounts import accounts

        counts = accounts.get_counts()
        self.looks += 1
        for kind, now in counts.items():
            last = before.get(kind, now)
            ends = ("delivered", "rejected", "dropped", "stored")
            came = now["recorded"] + now.get("taken", 0)
            if (
                came != now["waiting"] + sum(now.get(end, 0) for end in ends)
                or now["waiting"] < 0
                or now["dropped"] != sum(now["reasons"].values())
                or any(now.get(end, 0) < last.get(end, 0) for end in (*ends, "recorded"))
            ):
                self.faults.append(f"{kind}: {now} after {last}")
        return counts


watch = Watch()


def open_shop() -> None:
    """Set Django up with the settings of the test, and begin to watch."""
    import django
    from django.conf import settings

    given = json.loads(os.environ["SHOP_SETTINGS"])
    settings.configure(**{**DEFAULTS, **given})
    django.setup()
    from django_topsort.signals import events_dropped, events_rejected

    events_dropped.connect(note_dropped, weak=False)
    events_rejected.connect(note_rejected, weak=False)
    watch.start()


def note_dropped(reason: str, events: Iterable[Any], **facts: object) -> None:
    _given_up.setdefault(reason, []).extend(event.id for event in events)


def note_rejected(events: Iterable[Any], **facts: object) -> None:
    _rejected.extend(event.id for event in events)


def tell(**facts: Any) -> None:
    """Keep facts for the test."""
    _told.update(facts)


def close_shop(timeout: float = 60.0) -> None:
    """Send what waits, and print what became of everything."""
    from django_topsort.accounts import accounts
    from django_topsort.delivery import flush

    is_empty = flush(timeout)
    watch.over.set()
    watch.join(10)
    counts = accounts.get_counts()
    said = {
        "counts": counts,
        "faults": watch.faults[:10],
        "looks": watch.looks,
        "dropped": _given_up,
        "rejected": _rejected,
        "is_empty": is_empty,
        "facts": _told,
    }
    sys.stdout.write(f"\n{json.dumps(said)}\n")
    sys.stdout.flush()


# In the test's process

DEFAULTS: dict[str, Any] = {
    "SECRET_KEY": "tests-only",
    "USE_TZ": True,
    "TIME_ZONE": "Europe/Berlin",
    "ALLOWED_HOSTS": ["testserver", "127.0.0.1"],
    "INSTALLED_APPS": ["django_topsort"],
    "MIDDLEWARE": ["django_topsort.middleware.TopsortMiddleware"],
    "ROOT_URLCONF": "tests.faults.pages",
    "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
    "TOPSORT_API_KEY": KEY,
    "TOPSORT_FLUSH_INTERVAL": 0.1,
}


@dataclass
class Told:
    """What a shop said when it closed. ``dropped``: the ids of what was given up, by reason."""

    counts: dict[str, dict[str, Any]]
    faults: list[str]
    looks: int
    dropped: dict[str, list[str]]
    rejected: list[str]
    is_empty: bool
    facts: dict[str, Any]
    log: str
    output: str


def run_shop(code: str, api: FakeApi | None, python: str = sys.executable, **settings: Any) -> Told:
    """Run ``code`` in a shop of its own, which reports to ``api``; return what it tells.

    AssertionError with all that it printed where it does not end well.
    """
    if api is not None:
        settings.setdefault("TOPSORT_API_URL", api.url)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
        "PYTHONPATH": str(ROOT),
        "PYTHONFAULTHANDLER": "1",
        "SHOP_SETTINGS": json.dumps(settings),
    }
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    result = subprocess.run(
        [python, "-W", "error", "-c", OPENING + textwrap.dedent(code) + CLOSING],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert result.returncode == 0, f"{result.returncode}\n{result.stdout[-2000:]}\n{result.stderr}"
    return Told(
        **json.loads(result.stdout.splitlines()[-1]), log=result.stderr, output=result.stdout
    )


def check_books(told: Told, api: FakeApi, recorded: Iterable[str]) -> None:
    """Hold what was recorded against what arrived and what was given up: each id is in one place.

    The figures must say the same, at the end and whenever another thread looked at them.
    """
    assert told.faults == []
    assert told.looks > 1
    wanted = list(recorded)
    assert len(set(wanted)) == len(wanted)
    taken = [event["id"] for event in api.events]
    gone = [event_id for ids in told.dropped.values() for event_id in ids]
    found = [*taken, *gone, *told.rejected]
    assert sorted(found) == sorted(wanted)
    assert api.altered == []
    totals = {
        end: sum(counts[end] for counts in told.counts.values())
        for end in ("recorded", "delivered", "rejected", "dropped", "waiting")
    }
    assert totals == {
        "recorded": len(wanted),
        "delivered": len(taken),
        "rejected": len(told.rejected),
        "dropped": len(gone),
        "waiting": 0,
    }
    for kind in KINDS:
        assert told.counts[kind]["delivered"] == len([e for e in api.events if e.kind == kind])
