"""Handing events to their backends: the one place that swallows an error."""

from __future__ import annotations

import contextvars
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import transaction

from django_topsort.accounts import accounts
from django_topsort.collector import Collector
from django_topsort.conf import topsort_settings
from django_topsort.events import EVENT_KINDS
from django_topsort.exceptions import InvalidEvent, UnreportableOrder
from django_topsort.lineage import lineage
from django_topsort.loading import loading
from django_topsort.offloop import is_on_loop, off_loop
from django_topsort.reporting import Reporter, log_limit
from django_topsort.routing import (
    get_backend,
    get_backend_path,
    get_backends,
    get_memory_backend,
    is_transactional,
)
from django_topsort.tallies import tally
from django_topsort.threads import ThreadValues

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_topsort.backends.base import BaseEventBackend
    from django_topsort.events import Event
    from django_topsort.purchases.announcements import Announcement

# How deep deliveries may lie in one another, because a receiver or a log handler may record events
# in turn. Of a handler that records one for each log line, every delivery would cause another.
MAX_DEPTH = 3

_reporter = Reporter(None)
_thread = ThreadValues()


def deliver(events: Sequence[Event]) -> None:
    """Hand ``events`` to their backends. Raises what a backend raises, for whom wants to know."""
    accounts.count_recorded(events)
    for backend, some in _route(events):
        backend.send_events(some)


def deliver_safely(events: Sequence[Event]) -> None:
    """Hand ``events`` to their backends; what fails is logged and counted, and nothing is raised.

    On an event loop's thread, a backend that blocks works in another thread. An event that is
    recorded because of a delivery, which was itself because of one, and so on, is dropped
    (``recursion``).
    """
    own = _thread.get()
    depth = getattr(own, "depth", 0)
    own.depth = depth + 1
    try:
        accounts.count_recorded(events)
        if max(depth, lineage.generation) < MAX_DEPTH:
            lineage.note(events)
            _deliver_counted(events)
        else:
            # One line for all, and no signal: a purchase's own line would lead on to the next.
            accounts.count_each_dropped(events, "recursion")
            said = "dropped reason=recursion count=%s"
            log_safely(logging.ERROR, ("recursion",), said, len(events))
    except Exception as error:
        log_safely(
            logging.ERROR, ("delivery",), "not delivered events=%s", len(events), error=error
        )
    finally:
        own.depth = depth


def announce_safely(
    order: Any, request: HttpRequest | None, opaque_user_id: str | None, using: str
) -> Announcement | None:
    """Note in the transaction of ``order`` that it is to be reported, where a backend can do that.

    Returns the announcement to be withdrawn afterwards, None where there is none. Raises nothing
    and leaves the caller's transaction whole, unless the database has ended all of it, as MySQL
    does to end a deadlock: then the caller must know, whose order is lost.
    """
    if not is_transactional("purchases"):
        return None
    connection = transaction.get_connection(using)
    if not connection.in_atomic_block:
        return None
    with loading.lock:  # with the first order
        from django_topsort.purchases.announcements import build_announcement
        from django_topsort.purchases.finding import describe_order

    was_lost = connection.needs_rollback
    try:
        # A savepoint: what a reader's query spoils is not the caller's transaction.
        with transaction.atomic(using=using):
            announcement = build_announcement(order, request, opaque_user_id, using)
        if announcement is not None and get_backend("purchases").announce(announcement):
            return announcement
    except (InvalidEvent, UnreportableOrder):
        pass  # it may be in order by the commit; if not, the report says so
    except Exception as error:
        if connection.needs_rollback and not was_lost:
            raise
        said = "order not announced order=%s; it is reported on commit"
        log_safely(logging.ERROR, ("announce",), said, describe_order(order), error=error)
    return None


def withdraw_safely(announcement: Announcement) -> None:
    """Forget an announcement that has been reported, or is not to be. Never raises."""
    try:
        get_backend("purchases").withdraw(announcement)
    except Exception as error:
        # The relay finds it again, and that the purchase is there already.
        said = "announcement not withdrawn order=%s"
        log_safely(logging.WARNING, ("withdraw",), said, announcement.name, error=error)


def give_up(events: Sequence[Event], reason: str) -> None:
    """Count ``events``, which are counted as recorded, as dropped, and say so; never raises.

    Kind by kind: where a log handler raises, the others are counted all the same.
    """
    for kind in EVENT_KINDS:
        if some := [event for event in events if event.kind == kind]:
            with suppress(Exception):
                _reporter.dropped(some, reason)


def leave_out(events: Sequence[Event], reason: str) -> None:
    """Count ``events`` that are not sent as recorded and dropped, and say so; never raises."""
    with suppress(Exception):
        accounts.count_recorded(events)
        give_up(events, reason)
        for kind, count in Counter(event.kind for event in events).items():
            tally(kind, reason, count)


def log_safely(
    level: int,
    key: tuple[str, ...],
    message: str,
    *values: object,
    error: BaseException | None = None,
) -> None:
    """Log ``message``, once a minute for each ``key``, with the traceback of ``error``.

    Never raises: a page must not fail because the project's log handler does.
    """
    with suppress(Exception):
        log_limit.log(level, key, message, *values, exc_info=error)


def refuse(kind: str, error: Exception, request: HttpRequest | None = None) -> None:
    """Raise ``error`` while ``TOPSORT_STRICT`` holds; else log it, with the path, and count it.

    ``kind`` may be another than those of events, such as ``"placement"``: then no event is lost by
    it, and none is counted.
    """
    is_strict = topsort_settings.is_strict
    collector = getattr(request, "topsort", None)
    if isinstance(collector, Collector) and collector.observer is not None:
        is_counted = kind in EVENT_KINDS and not is_strict
        collector.observer.note_refusal(kind, error, is_counted=is_counted)
    if is_strict:
        raise error
    path = _get_shown_path(request)
    if kind not in EVENT_KINDS:
        _say_unused(kind, error, path)
        return
    with suppress(Exception):  # a log handler may raise
        _reporter.refused(kind, error, path)


def flush(timeout: float = 5.0) -> bool:
    """Send at once what waits in this process, within ``timeout`` seconds for all backends.

    Returns whether nothing is left.
    """
    deadline = time.monotonic() + timeout
    off_loop.wait(timeout)
    is_empty = True
    for backend in get_backends():
        try:
            is_empty &= backend.flush(max(0.0, deadline - time.monotonic()))
        except Exception as error:
            name = type(backend).__module__
            log_safely(logging.ERROR, ("flush", name), "flush failed backend=%s", name, error=error)
            is_empty = False
    return is_empty


@contextmanager
def flushing(timeout: float = 5.0) -> Iterator[None]:
    """Send what waits at the end of a block, also of one that raises, within ``timeout`` seconds.

    For processes of which nothing tells us that they end, or stand still: a job of RQ, a function
    that is frozen after each call, a script that ends with ``os._exit()``. What cannot be sent in
    time goes on waiting. Raises nothing itself.
    """
    try:
        yield
    finally:
        try:
            if not flush(timeout):
                said = "not all sent timeout=%s"
                log_safely(logging.WARNING, ("flushing",), said, timeout)
        except Exception as error:  # a timeout that is no number
            log_safely(logging.ERROR, ("flushing",), "not flushed", error=error)


def _route(events: Sequence[Event]) -> list[tuple[BaseEventBackend, Sequence[Event]]]:
    backends = topsort_settings.TOPSORT_BACKENDS
    if backends.keys().isdisjoint(EVENT_KINDS):
        return [(get_backend(), events)]
    by_path: dict[str, list[Event]] = {}
    for event in events:
        by_path.setdefault(get_backend_path(event.kind), []).append(event)
    return [(get_backend(some[0].kind), some) for some in by_path.values()]


def _get_shown_path(request: HttpRequest | None) -> str:
    path: object = getattr(request, "path", None)
    match: Any = getattr(request, "resolver_match", None)
    if "django_topsort" in getattr(match, "app_names", ()):
        # The token in it holds the whole event, which a log must not.
        path = f"/{match.route}"
    return path if isinstance(path, str) else ""


def _say_unused(kind: str, error: Exception, path: str) -> None:
    where, shown = (" path=%s", (f"{repr(path)[1:-1]:.200}",)) if path else ("", ())
    if isinstance(error, InvalidEvent):
        given = type(error.value).__name__  # and not the value, which may be personal
        said = f"not used kind=%s field=%s given=%s{where}: %s"
        key, values = ("unused", kind, error.field), (error.field, given, *shown, error.rule)
        log_safely(logging.ERROR, key, said, kind, *values)
    else:
        name = type(error).__name__
        said = f"not used kind=%s error=%s{where}"
        log_safely(logging.ERROR, ("unused", kind, name), said, kind, name, *shown, error=error)


def _deliver_counted(events: Sequence[Event]) -> None:
    try:
        routes = _route(events)
    except Exception as error:
        give_up(events, "no_backend")
        count = len(events)
        log_safely(logging.ERROR, ("no_backend",), "no backend events=%s", count, error=error)
        return
    for backend, some in routes:
        if not (backend.blocking and is_on_loop()):
            _send_safely(backend, some)
            continue
        run = partial(contextvars.copy_context().run, _send_safely, backend, some)
        if not off_loop.run(run):
            _keep_in_memory(some)


def _keep_in_memory(events: Sequence[Event]) -> None:
    """Give events to a backend that does not wait, as theirs cannot keep up."""
    try:
        memory = get_memory_backend()
        if not memory.blocking:
            memory.send_events(events)
            return
    except Exception as error:
        log_safely(logging.ERROR, ("memory",), "not kept events=%s", len(events), error=error)
    give_up(events, "overflow")


def _send_safely(backend: BaseEventBackend, events: Sequence[Event]) -> None:
    try:
        backend.send_events(events)
    except Exception as error:
        # What it had already reported on may be counted twice: a backend that raises is broken.
        give_up(events, "backend_error")
        name = type(backend).__module__
        said = "backend failed backend=%s events=%s"
        log_safely(logging.ERROR, ("backend", name), said, name, len(events), error=error)
