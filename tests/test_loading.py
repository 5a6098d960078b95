"""Imports that are put off, and forks in their midst."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from django_topsort.loading import Loading, loading


@contextmanager
def held_by_another_thread(loading: Loading) -> Iterator[threading.Event]:
    """Let another thread hold the lock until the event is set, or the block ends."""
    is_held, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        with loading.lock:
            is_held.set()
            is_over.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert is_held.wait(30)
    try:
        yield is_over
    finally:
        is_over.set()
        thread.join()


def fork_and_load(loading: Loading) -> int:
    """Return how a child ends that takes the lock: 0 where it gets it at once."""
    with warnings.catch_warnings():
        # The child calls nothing that another thread could have locked.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:  # pragma: no cover - the child leaves without a word to anyone
        os._exit(0 if loading.lock.acquire(timeout=5) else 1)
    return os.waitpid(child, 0)[1]


def test_fork_waits_for_an_import_and_the_child_has_a_lock_of_its_own() -> None:
    with held_by_another_thread(loading) as is_over:
        threading.Timer(0.2, is_over.set).start()

        assert fork_and_load(loading) == 0

        assert is_over.is_set(), "the fork has waited"


def test_fork_does_not_wait_forever() -> None:
    hasty = Loading()
    hasty.patience = 0.01

    with held_by_another_thread(hasty) as is_over:
        assert fork_and_load(hasty) == 0

        assert not is_over.is_set()


def test_child_of_which_python_was_not_told_has_a_lock_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # uWSGI forks without hooks.
    one = Loading()
    with held_by_another_thread(one):
        monkeypatch.setattr(os, "getpid", lambda: -1)

        assert one.lock.acquire(timeout=5)
