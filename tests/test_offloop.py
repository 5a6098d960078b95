"""What must not run on an event loop's thread runs elsewhere, and does not pile up."""

from __future__ import annotations

import os
import threading

import pytest

from django_topsort.offloop import MAX_WAITING, THREADS, OffLoop
from tests.sending.engine import PATIENCE, wait_until


def test_work_is_done_in_threads_of_ours() -> None:
    off_loop = OffLoop()
    names: list[str] = []

    assert off_loop.run(lambda: names.append(threading.current_thread().name))
    off_loop.wait(PATIENCE)

    assert names[0].startswith("django-topsort-off-loop")


def test_work_that_raises_makes_place_for_other_work() -> None:
    off_loop = OffLoop()
    for _ in range(3 * MAX_WAITING):
        wait_until(lambda: off_loop.run(lambda: 1 / 0))
    off_loop.wait(PATIENCE)

    assert off_loop._waiting == 0


def test_more_than_can_be_done_is_refused() -> None:
    off_loop = OffLoop()
    may_go_on = threading.Event()
    taken = [off_loop.run(lambda: may_go_on.wait(PATIENCE)) for _ in range(2 * MAX_WAITING)]

    assert taken.count(True) == MAX_WAITING > THREADS
    off_loop.wait(0.01)  # no longer than it is told
    may_go_on.set()
    off_loop.wait(PATIENCE)
    assert off_loop.run(str)


def test_process_that_ends_takes_no_work() -> None:
    off_loop = OffLoop()
    off_loop._executor.shutdown()

    assert not off_loop.run(str)
    assert off_loop._waiting == 0


def test_forked_child_has_threads_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    off_loop = OffLoop()
    off_loop._lock.acquire()  # by a thread that the child does not have
    monkeypatch.setattr(os, "getpid", lambda: 1)
    done = threading.Event()

    off_loop.wait(0.0)  # of the parent's work

    assert off_loop.run(done.set)
    assert done.wait(PATIENCE)
