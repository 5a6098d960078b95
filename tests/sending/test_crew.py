"""Threads of the workers: how many there are, and whether there may be another."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from django_topsort.sending.crew import COUNTING_SECONDS, STARTING_SECONDS, Crew
from tests.sending.engine import Clock


@pytest.fixture
def end() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def crew(end: threading.Event, clock: Clock) -> Crew:
    def wait() -> None:
        end.wait(20)

    return Crew(wait, clock)


def test_there_is_room_until_all_are_there(crew: Crew) -> None:
    assert crew.has_room(2)
    hired = [crew.hire() for _ in range(2)]

    assert not crew.has_room(2)
    assert crew.has_room(3)
    assert len(crew) == crew.count() == 2
    crew.dismiss(hired[0])
    assert crew.has_room(2)
    assert hired[0] not in crew
    assert hired[1] in crew


def test_thread_that_never_begins_is_counted_out(crew: Crew, clock: Clock) -> None:
    crew.hire()
    clock.now += STARTING_SECONDS

    assert len(crew) == 1
    assert crew.count() == len(crew) == 0


def test_thread_that_is_gone_makes_room_within_a_second(
    crew: Crew, clock: Clock, end: threading.Event
) -> None:
    thread = crew.hire()
    thread.start()
    clock.now += STARTING_SECONDS
    assert not crew.has_room(1)  # they have been counted
    end.set()
    thread.join()

    assert not crew.has_room(1)
    clock.now += COUNTING_SECONDS
    assert crew.has_room(1)
