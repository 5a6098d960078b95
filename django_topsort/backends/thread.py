"""The default: background threads post the events, and no request waits."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django_topsort.backends.base import BaseEventBackend, encode_body
from django_topsort.conf import SETTINGS, topsort_settings
from django_topsort.loading import loading, posting
from django_topsort.reporting import log_limit
from django_topsort.sending.sender import Sender
from django_topsort.sending.wiring import SenderOptions, Wiring

if TYPE_CHECKING:
    from django_topsort.events import Event
    from django_topsort.sending.links import LinkLane
    from django_topsort.userlinks import UserLink


def get_options() -> SenderOptions:
    """Return the settings of this backend.

    It is asked at each hand-over, and settings hardly ever change.
    """
    global _known  # noqa: PLW0603 - of the process, as the settings are
    raw = (
        topsort_settings.TOPSORT_QUEUE_SIZE,
        topsort_settings.TOPSORT_QUEUE_BYTES,
        topsort_settings.TOPSORT_FLUSH_INTERVAL,
        topsort_settings.TOPSORT_CONNECTIONS,
        topsort_settings.TOPSORT_SHUTDOWN_TIMEOUT,
    )
    known, options = _known
    if raw != known:
        options = _read_options()
        if {*map(type, raw)} <= {int, float}:  # what is no number is said again
            _known = raw, options
    return options


def _read_options() -> SenderOptions:
    return SenderOptions(
        queue_size=int(read_number("TOPSORT_QUEUE_SIZE", 1)),
        queue_bytes=int(read_number("TOPSORT_QUEUE_BYTES", 1)),
        flush_interval=read_number("TOPSORT_FLUSH_INTERVAL", 0),
        connections=int(read_number("TOPSORT_CONNECTIONS", 1)),
        shutdown_timeout=read_number("TOPSORT_SHUTDOWN_TIMEOUT", 0),
    )


def read_number(name: str, least: float) -> float:
    """Return a setting's number, also of a text; the default where it is none, or below ``least``.

    A check refuses all but numbers. Servers run no checks, though, and a text from the environment
    must not cost events.
    """
    value = getattr(topsort_settings, name)
    if type(value) not in (int, float):
        try:
            value = float(value)
        except (TypeError, ValueError):
            value = math.nan
    if least <= value < math.inf:
        return value  # type: ignore[no-any-return]  # it is an int or a float by now
    default: float = SETTINGS[name].default
    log_limit.log(logging.ERROR, ("setting", name), "%s is no number; taking %s", name, default)
    return default


def post_body(body: bytes, limit: float | None = None, /) -> None:
    """Post one request's body: in a background thread, so that no request waits for the import."""
    with posting.lock:
        from django_topsort.backends import connections

    connections.post_body(body, limit)


def post_link(link: UserLink, /) -> None:
    """Post one link of users, in a background thread as ``post_body``. Raises ApiError."""
    with posting.lock:
        from django_topsort.backends import connections
        from django_topsort.userlinks import encode_link

    connections.post_link(encode_link(link))


_known: tuple[tuple[float, ...], SenderOptions] = (), SenderOptions()


class EventBackend(BaseEventBackend):
    """Holds events in memory, at most ``TOPSORT_QUEUE_SIZE``, and posts them in batches.

    A batch goes out when it has 50 of a kind, or ``TOPSORT_FLUSH_INTERVAL`` seconds after its first
    event, over up to ``TOPSORT_CONNECTIONS`` connections. A process that exits sends the rest for
    up to ``TOPSORT_SHUTDOWN_TIMEOUT`` seconds; one that is killed loses what it held.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sender = Sender(
            Wiring(
                post=post_body,
                encode=encode_body,
                report=self.report,
                options=get_options,
                overflow=self._see_off,
                has_overflow=self._has_overflow,
            )
        )
        self._links: dict[str, LinkLane] = {}  # one at most, with the first link
        self._is_closed = False

    def _see_off(self, events: Sequence[Event]) -> Sequence[Event]:
        return self.overflow(events)  # which is set when this instance is made

    def _has_overflow(self) -> bool:
        return bool(topsort_settings.TOPSORT_BACKENDS.get("overflow"))

    def send_events(self, events: Sequence[Event]) -> None:
        error = self._sender.put(events) if events else None
        if error is not None:
            # Raised, it would count events as lost that are not.
            said = "hand-over broken off events=%s; they are sent with the next ones"
            log_limit.log(logging.WARNING, ("broken off",), said, len(events), exc_info=error)

    def link_users(self, link: UserLink) -> None:
        lane = self._get_lane()
        if self._is_closed:
            lane.close()  # it may be this link for which it was made
        lane.put(link)

    def _get_lane(self) -> LinkLane:
        lane = self._links.get("lane")
        if lane is None:
            with loading.lock:
                from django_topsort.backends.userlinks import LinkReporter
                from django_topsort.sending.links import LinkLane

            lane = LinkLane(post_link, LinkReporter(), lambda: get_options().shutdown_timeout)
            lane = self._links.setdefault("lane", lane)  # atomic: all threads get the same
        return lane

    def flush(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        is_empty = self._sender.flush(timeout)
        for lane in tuple(self._links.values()):
            is_empty &= lane.flush(max(0.0, deadline - time.monotonic()))
        return is_empty

    def get_state(self) -> dict[str, Any]:
        return {**self._sender.get_state(), "queue_size": get_options().queue_size}

    def close(self) -> None:
        self._is_closed = True
        self._sender.shutdown()
        for lane in tuple(self._links.values()):
            lane.close()
