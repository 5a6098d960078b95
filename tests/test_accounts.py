"""The figures add up at every moment, whoever counts."""

from __future__ import annotations

import gc
import os
import random
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from django_topsort.accounts import Accounts
from django_topsort.events import EVENT_KINDS, Event
from tests.strategies import build_full_events

IMPRESSION, CLICK, PURCHASE, PAGEVIEW = build_full_events()


def add_up(counts: dict[str, dict[str, Any]]) -> None:
    """Assert that no figure is negative and that each kind's make what was recorded."""
    for figures in counts.values():
        settled = figures["delivered"] + figures["rejected"] + figures["dropped"]
        held = figures["stored"] + figures["waiting"]
        assert figures["recorded"] + figures["taken"] == settled + held
        assert figures["dropped"] == sum(figures["reasons"].values())
        assert min(figures[name] for name in figures if name != "reasons") >= 0


def test_accounts_begin_at_zero() -> None:
    names = ["recorded", "delivered", "rejected", "dropped", "stored", "taken", "waiting"]
    zero = {**dict.fromkeys(names, 0), "reasons": {}}

    assert Accounts().get_counts() == dict.fromkeys(EVENT_KINDS, zero)


def test_events_are_counted_by_kind() -> None:
    accounts = Accounts()
    accounts.count_recorded([IMPRESSION] * 5 + [CLICK] * 3 + [PURCHASE, PAGEVIEW])
    accounts.count_delivered([IMPRESSION, CLICK, PURCHASE])
    accounts.count_rejected(iter([IMPRESSION]))
    accounts.count_dropped("impressions", 2, "queue_full")
    accounts.count_dropped("clicks", 1, "queue_full")
    accounts.count_dropped("clicks", 1, "shutdown")
    counts = accounts.get_counts()

    add_up(counts)
    assert counts["impressions"] == {
        "recorded": 5,
        "delivered": 1,
        "rejected": 1,
        "dropped": 2,
        "stored": 0,
        "taken": 0,
        "waiting": 1,
        "reasons": {"queue_full": 2},
    }
    assert counts["clicks"]["reasons"] == {"queue_full": 1, "shutdown": 1}
    assert counts["clicks"]["waiting"] == 0
    assert counts["purchases"]["delivered"] == 1
    assert counts["pageviews"]["waiting"] == 1


def test_what_could_not_become_an_event_is_recorded_and_dropped_in_one() -> None:
    accounts = Accounts()
    accounts.count_refused("purchases", "invalid")
    accounts.count_refused("purchases", "invalid")
    counts = accounts.get_counts()

    add_up(counts)
    assert (counts["purchases"]["recorded"], counts["purchases"]["dropped"]) == (2, 2)
    assert counts["purchases"]["reasons"] == {"invalid": 2}


def test_what_goes_to_the_outbox_and_comes_back_is_told_apart() -> None:
    accounts = Accounts()
    accounts.count_recorded([PURCHASE] * 3)
    accounts.count_stored([PURCHASE] * 2)
    accounts.count_taken([PURCHASE] * 5)
    accounts.count_delivered([PURCHASE] * 4)
    counts = accounts.get_counts()

    add_up(counts)
    assert counts["purchases"]["stored"] == 2
    assert counts["purchases"]["taken"] == 5
    assert counts["purchases"]["waiting"] == 2


def test_last_words_say_when_topsort_was_heard_last_and_what_failed() -> None:
    accounts = Accounts()
    assert (accounts.last.success_at, accounts.last.error_at, accounts.last.error) == (
        None,
        None,
        "",
    )

    begun = time.time()
    accounts.note_success()
    accounts.note_failure("ServerUnavailable status=503")

    assert accounts.last.success_at is not None
    assert accounts.last.error_at is not None
    assert begun <= accounts.last.success_at <= accounts.last.error_at <= time.time()
    assert accounts.last.error == "ServerUnavailable status=503"


def test_counts_are_a_copy() -> None:
    accounts = Accounts()
    accounts.get_counts()["clicks"]["recorded"] = 99
    accounts.get_counts()["clicks"]["reasons"]["x"] = 99

    assert accounts.get_counts()["clicks"]["recorded"] == 0


@pytest.fixture
def _hasty_threads() -> Iterator[None]:
    """Let threads take turns after every few steps."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("_hasty_threads")
def test_figures_add_up_at_every_moment_under_64_threads() -> None:
    accounts = Accounts()
    threads, rounds = 64, 50
    start = threading.Barrier(threads + 1)
    ended = threading.Event()

    def count(number: int) -> None:
        chance = random.Random(number)
        some: list[Event] = [IMPRESSION, CLICK, PURCHASE, PAGEVIEW]
        start.wait()
        for _ in range(rounds):
            accounts.count_recorded(some)
            delivered, rejected = chance.sample(some, 2)
            rest = [event for event in some if event not in (delivered, rejected)]
            accounts.count_delivered([delivered])
            accounts.count_rejected([rejected])
            for event in rest:
                accounts.count_dropped(event.kind, 1, f"reason {number}")
            accounts.count_refused("clicks", "invalid")

    def look() -> int:
        looks = 0
        start.wait()
        while not ended.is_set():
            add_up(accounts.get_counts())
            looks += 1
        return looks

    with ThreadPoolExecutor(threads + 1) as pool:
        looking = pool.submit(look)
        for future in [pool.submit(count, number) for number in range(threads)]:
            future.result()
        ended.set()
        assert looking.result() > 0

    counts = accounts.get_counts()
    add_up(counts)
    assert {kind: counts[kind]["recorded"] for kind in EVENT_KINDS} == {
        "impressions": 3200,
        "clicks": 6400,
        "purchases": 3200,
        "pageviews": 3200,
    }
    assert sum(counts[kind]["delivered"] for kind in EVENT_KINDS) == threads * rounds
    assert sum(counts[kind]["rejected"] for kind in EVENT_KINDS) == threads * rounds
    assert {counts[kind]["waiting"] for kind in EVENT_KINDS} == {0}


class CountsAsItGoes:
    """As a host's object whose ``__del__`` records."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts
        self.itself = self  # a cycle: the collector of garbage decides when it goes

    def __del__(self) -> None:
        self.accounts.count_refused("clicks", "late")


def test_counting_may_be_interrupted_by_counting() -> None:
    accounts = Accounts()

    def build_events() -> Iterator[Event]:
        for _ in range(200):
            # Reference cycles are collected while the events are counted.
            CountsAsItGoes(accounts)
            yield CLICK

    gc.collect()
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(20):
            accounts.count_recorded(build_events())
            accounts.get_counts()
    finally:
        gc.set_threshold(*before)
    gc.collect()
    clicks = accounts.get_counts()["clicks"]

    assert clicks["reasons"] == {"late": 4000}
    assert (clicks["recorded"], clicks["waiting"]) == (8000, 4000)


def test_forked_child_counts_from_zero() -> None:
    accounts = Accounts()
    accounts.count_recorded([CLICK])
    read, write = os.pipe()
    with accounts._lock:  # as another thread of the parent may hold it
        child = fork()
        if not child:  # pragma: no cover - the child leaves without a word to anyone
            accounts.count_recorded([PURCHASE])
            counts = accounts.get_counts()
            seen = (counts["clicks"]["recorded"], counts["purchases"]["recorded"])
            os.write(write, repr(seen).encode())
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        assert pipe.read() == "(0, 1)"
    assert accounts.get_counts()["clicks"]["recorded"] == 1


def test_child_of_which_python_was_not_told_counts_from_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # uWSGI forks without hooks, while another thread may hold the lock.
    accounts = Accounts()
    accounts.count_recorded([CLICK])
    is_held, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        with accounts._lock:
            is_held.set()
            is_over.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert is_held.wait(30)

    monkeypatch.setattr(os, "getpid", lambda: -1)
    accounts.count_recorded([CLICK, CLICK])
    counts = accounts.get_counts()["clicks"]
    is_over.set()
    thread.join()

    assert counts["recorded"] == 2


def fork() -> int:
    with warnings.catch_warnings():
        # The child calls nothing that another thread could have locked.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()
