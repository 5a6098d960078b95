"""What every backend is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django_topsort.conf import topsort_settings
from django_topsort.loading import loading
from django_topsort.reporting import Reporter
from django_topsort.wire import EventsRequest, encode_request

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

    from django_topsort.events import Event
    from django_topsort.purchases.announcements import Announcement
    from django_topsort.userlinks import UserLink


class BaseEventBackend:
    """Takes events from a request. A subclass writes ``send_events``, and is done.

    One instance serves a process and all its threads. ``blocking``: whether ``send_events`` may
    wait, for a disk, a database or the network: it is not called on an event loop's thread, and
    gets a request's events when the response is on its way. ``transactional``: whether what it
    takes belongs to the caller's database transaction; it gets a purchase as soon as it is
    recorded, and a request's other events before the response leaves. ``production``: whether it
    reports events to anybody; a check warns of those that do not.

    ``overflow`` takes what this one can neither hold nor send before the process ends, and returns
    what nobody takes. ``get_memory`` returns the backend that posts from this process's own memory.
    The delivery sets both.
    """

    blocking: ClassVar[bool] = False
    transactional: ClassVar[bool] = False
    production: ClassVar[bool] = True

    def __init__(self) -> None:
        self.report = Reporter(type(self))
        self.overflow: Callable[[Sequence[Event]], Sequence[Event]] = _take_none
        self.get_memory: Callable[[], BaseEventBackend | None] = _get_none

    def send_events(self, events: Sequence[Event]) -> None:
        """Take ``events`` and say what becomes of each through ``self.report``.

        An exception is logged by the caller, and the events count as dropped.
        """
        raise NotImplementedError(f"{type(self).__qualname__} must define send_events(events)")

    def take_over(self, events: Sequence[Event]) -> Sequence[Event]:
        """Take what another backend cannot keep, and return what is not taken: as its overflow."""
        self.send_events(events)
        return ()

    def link_users(self, link: UserLink) -> None:
        """Report that two ids are one shopper's. Only the thread backend does; others drop it."""
        with loading.lock:  # with the first login
            from django_topsort.backends.userlinks import LinkReporter

        LinkReporter().dropped([link], "no_backend" if self.production else "disabled")

    def announce(self, announcement: Announcement) -> bool:
        """Note in the caller's transaction that an order is to be reported; return whether it is.

        Only a transactional backend can.
        """
        return False

    def withdraw(self, announcement: Announcement) -> None:
        """Forget an announcement: the order has been reported, or is not to be."""

    def open(self) -> None:
        """Begin to work: called once in each process that serves requests, by the first of them."""

    def get_state(self) -> dict[str, Any]:
        """Return what a person should know of this process's part: see ``status.get_status``."""
        return {}

    def flush(self, timeout: float) -> bool:
        """Send at once what waits; return whether nothing is left after ``timeout`` seconds."""
        return True

    def close(self) -> None:
        """Give up connections and threads. May be called twice."""

    def check(self) -> list[CheckMessage]:
        """Return what is wrong with the settings of this backend."""
        return []


def _take_none(events: Sequence[Event]) -> Sequence[Event]:
    return events


def _get_none() -> BaseEventBackend | None:
    return None


def encode_body(request: EventsRequest) -> bytes:
    """Return a request's JSON as ``TOPSORT_CATEGORY_FIELD`` wants it."""
    return encode_request(request, topsort_settings.TOPSORT_CATEGORY_FIELD)
