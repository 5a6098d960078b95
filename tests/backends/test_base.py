"""What a backend that defines nothing but its class does."""

from __future__ import annotations

import pytest

from django_topsort.backends import locmem
from django_topsort.backends.base import BaseEventBackend
from django_topsort.purchases.announcements import Announcement
from django_topsort.reporting import Reporter
from tests.sending.engine import build_events


def test_backend_must_define_send_events() -> None:
    class Empty(BaseEventBackend):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty must define send_events\(events\)"):
        Empty().send_events([])


def test_backend_has_nothing_to_flush_close_or_check() -> None:
    backend = BaseEventBackend()
    backend.close()

    assert backend.flush(0.0)
    assert backend.check() == []
    assert isinstance(backend.report, Reporter)
    assert backend.get_state() == {}
    assert (backend.blocking, backend.transactional, backend.production) == (False, False, True)


def test_backend_takes_over_what_it_can_send_and_hands_on_to_nobody() -> None:
    backend = locmem.EventBackend()
    events = build_events(3)

    assert list(backend.take_over(events)) == []
    assert locmem.outbox == events
    assert backend.overflow(events) is events


def test_backend_keeps_no_announcement_unless_it_says_how() -> None:
    announcement = Announcement(name="1001", using="default")
    backend = BaseEventBackend()
    backend.open()
    backend.withdraw(announcement)

    assert backend.announce(announcement) is False
