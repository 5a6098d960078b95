"""Events that come of the sending of others."""

from __future__ import annotations

import threading

import pytest

from django_topsort.accounts import accounts
from django_topsort.backends.locmem import outbox
from django_topsort.delivery import deliver_safely
from django_topsort.lineage import MAX_KNOWN, Lineage, lineage
from tests.sending.engine import build_event, build_events, get_ids


def test_page_is_of_no_generation() -> None:
    found = Lineage()
    page = build_events(2)
    found.note(page)

    with found.sending(page):
        assert found.generation == 1
    assert found.generation == 0


def test_generation_is_one_more_than_that_of_what_is_sent() -> None:
    found = Lineage()
    batch, generations = [build_event()], []
    for number in range(3):
        with found.sending(batch):
            child = build_event("clicks", f"c-{number}")
            found.note([child])
            generations.append(found.generation)
        batch = [build_event(), child]

    assert generations == [1, 2, 3]


def test_sending_may_lie_in_sending() -> None:
    found = Lineage()
    with found.sending([]):
        child = build_event("clicks", "c-1")
        found.note([child])
        with found.sending([child]):
            assert found.generation == 2
        assert found.generation == 1


def test_generation_is_a_threads_own() -> None:
    found, seen = Lineage(), []
    with found.sending([]):
        thread = threading.Thread(target=lambda: seen.append(found.generation))
        thread.start()
        thread.join()

    assert seen == [0]


def test_generation_ends_with_an_error() -> None:
    found = Lineage()
    with pytest.raises(ZeroDivisionError), found.sending([]):
        raise ZeroDivisionError

    assert found.generation == 0


def test_memory_of_generations_is_bounded() -> None:
    found = Lineage()
    with found.sending([]):
        for number in range(3 * MAX_KNOWN):
            found.note([build_event("clicks", f"c-{number}")])

    assert len(found._known) <= MAX_KNOWN


def test_third_generation_is_dropped() -> None:
    before = accounts.get_counts()["clicks"]
    batch = [build_event()]
    for number in range(3):
        with lineage.sending(batch):
            batch = [build_event("clicks", f"child-{number}")]
            deliver_safely(batch)

    after = accounts.get_counts()["clicks"]
    assert get_ids(outbox) == ["child-0", "child-1"]
    assert after["recorded"] - before["recorded"] == 3
    assert after["reasons"]["recursion"] - before["reasons"].get("recursion", 0) == 1
