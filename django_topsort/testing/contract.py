"""The tests that every event backend must pass, those of other packages included.

::

    class TestMyBackend(BackendContract):
        def make_backend(self):
            return EventBackend()

        def get_received(self, backend):
            return [(event.kind, event.id) for event in read_back(backend)]

It works with pytest as it stands, and with unittest beside a ``SimpleTestCase``.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import uuid4

from django.core.checks import CheckMessage

from django_topsort.accounts import accounts
from django_topsort.events import (
    EVENT_KINDS,
    Click,
    Entity,
    Event,
    Impression,
    Page,
    PageView,
    Purchase,
    PurchaseItem,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from django_topsort.backends.base import BaseEventBackend

FLUSH_TIMEOUT = 10.0
USER = "contract"


class BackendContract:
    """Inherit from it, and give ``make_backend`` and ``get_received``.

    ``discards``: True for a backend that takes events and lets nobody have them; then
    ``get_received`` is not called.
    """

    discards = False

    def make_backend(self) -> BaseEventBackend:
        """Return a new backend that is ready to take events."""
        raise NotImplementedError("make_backend() must return a new backend")

    def get_received(self, backend: BaseEventBackend) -> Collection[tuple[str, str]]:
        """Return the kind and the id of each event that has arrived where the backend sends it.

        Called after ``flush``. Only what came since ``make_backend``.
        """
        raise NotImplementedError("get_received() must return the kind and id of each event")

    @contextmanager
    def open_backend(self) -> Iterator[BaseEventBackend]:
        """Make a backend for a block of code, and close it."""
        backend = self.make_backend()
        try:
            yield backend
        finally:
            backend.close()

    def check_received(self, backend: BaseEventBackend, events: Collection[Event]) -> None:
        """Flush, and check that each of the events has arrived once, and nothing else."""
        assert backend.flush(FLUSH_TIMEOUT) is True, "flush() must return True: nothing is left"
        if not self.discards:
            received = Counter(self.get_received(backend))
            assert received == Counter((event.kind, event.id) for event in events)

    def test_send_events_takes_an_empty_list(self) -> None:
        with self.open_backend() as backend:
            backend.send_events([])
            self.check_received(backend, [])

    def test_send_events_takes_every_kind(self) -> None:
        events = [build_event(kind) for kind in EVENT_KINDS]
        with self.open_backend() as backend:
            backend.send_events(events)
            self.check_received(backend, events)

    def test_send_events_takes_any_sequence_and_leaves_it_alone(self) -> None:
        events = [build_event("impressions"), build_event("clicks")]
        given = list(events)
        with self.open_backend() as backend:
            backend.send_events(given)
            backend.send_events(tuple(events[:0]))
            assert given == events
            given.clear()  # the list is the caller's: a backend that keeps it would lose the events
            self.check_received(backend, events)

    def test_send_events_takes_more_events_than_a_request_holds(self) -> None:
        events = [build_event(kind) for kind in EVENT_KINDS for _ in range(120)]
        with self.open_backend() as backend:
            backend.send_events(events)
            self.check_received(backend, events)

    def test_send_events_keeps_ids(self) -> None:
        events = [build_event("purchases", "order-1001"), build_event("clicks", "click-ä-1")]
        with self.open_backend() as backend:
            backend.send_events(events)
            self.check_received(backend, events)
            assert [event.id for event in events] == ["order-1001", "click-ä-1"]

    def test_send_events_works_from_several_threads(self) -> None:
        per_thread = [[build_event("impressions") for _ in range(30)] for _ in range(8)]
        with self.open_backend() as backend:
            threads = [
                threading.Thread(target=backend.send_events, args=(events,))
                for events in per_thread
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.check_received(backend, [event for events in per_thread for event in events])

    def test_send_events_accounts_for_every_event(self) -> None:
        events = [build_event(kind) for kind in EVENT_KINDS]
        with self.open_backend() as backend:
            before = accounts.get_counts()
            accounts.count_recorded(events)  # as delivery does
            backend.send_events(events)
            assert backend.flush(FLUSH_TIMEOUT) is True
            after = accounts.get_counts()
        for kind in EVENT_KINDS:
            assert after[kind]["recorded"] == before[kind]["recorded"] + 1
            assert after[kind]["waiting"] == before[kind]["waiting"]

    def test_flush_without_events_leaves_nothing(self) -> None:
        with self.open_backend() as backend:
            assert backend.flush(FLUSH_TIMEOUT) is True

    def test_close_works_twice_and_without_events(self) -> None:
        backend = self.make_backend()
        backend.close()
        backend.close()
        used = self.make_backend()
        used.send_events([build_event("pageviews")])
        used.close()
        used.close()

    def test_check_finds_nothing_wrong(self) -> None:
        with self.open_backend() as backend:
            messages = backend.check()
            assert isinstance(messages, list)
            for message in messages:
                assert isinstance(message, CheckMessage)
                assert not message.is_serious(), message

    def test_flags_are_said(self) -> None:
        with self.open_backend() as backend:
            for name in ("blocking", "transactional", "production"):
                assert isinstance(getattr(backend, name), bool), name


def build_event(kind: str, event_id: str | None = None) -> Event:
    """Return an event of a kind, with an id of its own unless one is given."""
    key = event_id or str(uuid4())
    match kind:
        case "impressions":
            entity = Entity(type="product", id="shoe-1")
            return Impression(id=key, opaque_user_id=USER, entity=entity)
        case "clicks":
            return Click(id=key, opaque_user_id=USER, resolved_bid_id="bid-1")
        case "purchases":
            item = PurchaseItem(product_id="shoe-1", unit_price=Decimal("12.95"), quantity=2)
            return Purchase(id=key, opaque_user_id=USER, items=(item,))
        case _:
            return PageView(id=key, opaque_user_id=USER, page=Page(type="home", page_id="/"))
