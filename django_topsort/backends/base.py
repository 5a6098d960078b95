"""What every backend is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from django_topsort.conf import topsort_settings
from django_topsort.reporting import Reporter
from django_topsort.wire import EventsRequest, encode_request

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

    from django_topsort.events import Event


class BaseEventBackend:
    """Takes events from a request. A subclass writes ``send_events``, and is done.

    One instance serves a process and all its threads. ``blocking``: whether ``send_events`` may
    wait, for a disk or the network; such a backend gets a request's events when the response is on
    its way. ``transactional``: whether what it takes belongs to the caller's database transaction.
    ``production``: whether it reports events to anybody; a check warns of those that do not.
    """

    blocking: ClassVar[bool] = False
    transactional: ClassVar[bool] = False
    production: ClassVar[bool] = True

    def __init__(self) -> None:
        self.report = Reporter(type(self))

    def send_events(self, events: Sequence[Event]) -> None:
        """Take ``events`` and say what becomes of each through ``self.report``.

        An exception is logged by the caller, and the events count as dropped.
        """
        raise NotImplementedError(f"{type(self).__qualname__} must define send_events(events)")

    def flush(self, timeout: float) -> bool:
        """Send at once what waits; return whether nothing is left after ``timeout`` seconds."""
        return True

    def close(self) -> None:
        """Give up connections and threads. May be called twice."""

    def check(self) -> list[CheckMessage]:
        """Return what is wrong with the settings of this backend."""
        return []


def encode_body(request: EventsRequest) -> bytes:
    """Return a request's JSON as ``TOPSORT_CATEGORY_FIELD`` wants it."""
    return encode_request(request, topsort_settings.TOPSORT_CATEGORY_FIELD)
