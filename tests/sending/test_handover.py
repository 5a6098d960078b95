"""What is handed over, before it is queued."""

from __future__ import annotations

import pytest

from django_topsort.sending.backlog import Backlog
from django_topsort.sending.handover import Aside, HandOver
from django_topsort.sending.sizes import measure
from django_topsort.sending.wiring import SenderOptions
from tests.sending.engine import Clock, build_event, build_events, get_ids


class Striking(int):
    """A number of places; whoever reckons with it is interrupted, once."""

    strikes = 1

    def __rsub__(self, other: int) -> int:
        if self.strikes:
            self.strikes -= 1
            raise InterruptedError
        return other - int(self)


def test_hand_over_is_sorted_and_measured() -> None:
    events = [*build_events(3), build_event("clicks", "c-1"), *build_events(2, "purchases")]

    handed = HandOver(iter(events))

    assert list(handed) == events
    assert {kind: get_ids(some) for kind, (some, _) in handed.parts.items()} == {
        "impressions": ["impressions-0", "impressions-1", "impressions-2"],
        "clicks": ["c-1"],
        "purchases": ["purchases-0", "purchases-1"],
    }
    assert handed.parts["impressions"][1] == measure(events[:3])


def test_what_is_put_aside_is_queued_in_order() -> None:
    aside, backlog = Aside(), Backlog(Clock(), float)
    for number in range(3):
        aside.append(HandOver(build_events(2, prefix=f"{number}")))

    aside.move_to(backlog, SenderOptions())

    assert not aside
    assert get_ids(backlog.take_all()) == ["0-0", "0-1", "1-0", "1-1", "2-0", "2-1"]


def test_what_was_broken_off_is_queued_once() -> None:
    aside, backlog = Aside(), Backlog(Clock(), float)
    aside.append(HandOver([*build_events(2), build_event("clicks", "c-1")]))
    aside.append(HandOver([build_event("clicks", "c-2")]))
    options = SenderOptions(queue_size=Striking(100))
    with pytest.raises(InterruptedError):
        aside.move_to(backlog, options)
    assert len(aside) == 2

    aside.move_to(backlog, options)

    assert get_ids(backlog.take_all()) == ["impressions-0", "impressions-1", "c-1", "c-2"]


def test_hand_over_of_the_same_events_is_queued_twice() -> None:
    aside, backlog = Aside(), Backlog(Clock(), float)
    events = build_events(1)
    for _ in range(2):
        aside.append(HandOver(events))

    aside.move_to(backlog, SenderOptions())

    assert len(backlog) == 2
