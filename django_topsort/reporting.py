"""Saying what became of events: in the accounts, by a signal, and in the log.

The log gets one line per reason and kind in a minute, with how many like it were left out. Only
purchases are each named, by their ids. It never gets an event's content, the shopper's id or the
API key.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django_topsort.accounts import accounts
from django_topsort.exceptions import InvalidEvent
from django_topsort.logs import Said, build_fields, describe_error, explain_error
from django_topsort.signals import events_delivered, events_dropped, events_rejected
from django_topsort.tallies import HARMLESS
from django_topsort.threads import ThreadValues

if TYPE_CHECKING:
    from django.dispatch import Signal

    from django_topsort.events import Event
    from django_topsort.exceptions import ApiError

logger = logging.getLogger(__name__)

QUIET_SECONDS = 60.0
MAX_KEYS = 1000  # an errCode comes from outside, and a purchase's id from the shop
MAX_IDS = 50  # purchases named in one line; the next line names the next ones
MAX_SHOWN = 200  # characters of an id or a path


class LogLimit:
    """One line per key in a minute; the next line says how many were left out.

    Where there are a thousand keys in a minute, the others of one sort share one line.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lines: dict[tuple[str, ...], tuple[float, int]] = {}
        self._names: dict[tuple[str, ...], tuple[float, int]] = {}
        self._full_until = 0.0

    def log(
        self,
        level: int,
        key: tuple[str, ...],
        message: str,
        *values: object,
        exc_info: BaseException | None = None,
    ) -> None:
        """Log ``message`` unless one with ``key`` was logged within the last minute."""
        left_out = self.admit(key)
        if left_out is not None:
            self.write(level, left_out, message, *values, exc_info=exc_info)

    def admit(self, key: tuple[str, ...]) -> int | None:
        """Return how many lines with ``key`` were left out until now; None: leave this out, too.

        Two threads may both log a first line: a lock would not be worth what it costs.
        """
        if key not in self._lines and len(self._lines) >= MAX_KEYS and not self._make_room():
            key = (key[0], "and others")
        return self._note(self._lines, key)

    def admit_name(self, key: tuple[str, ...]) -> int | None:
        """Do as ``admit`` for what has to be named: only the very same is left out."""
        if key not in self._names and len(self._names) >= MAX_KEYS:
            self._names.clear()
        return self._note(self._names, key)

    def clear(self) -> None:
        """Forget all lines: the next of each is logged."""
        self._lines.clear()
        self._names.clear()
        self._full_until = 0.0

    def _note(
        self, lines: dict[tuple[str, ...], tuple[float, int]], key: tuple[str, ...]
    ) -> int | None:
        now = self._clock()
        since, left_out = lines.get(key, (None, 0))
        if since is not None and now - since < QUIET_SECONDS:
            lines[key] = (since, left_out + 1)
            return None
        lines[key] = (now, 0)
        return left_out

    def _make_room(self) -> bool:
        """Forget the lines of more than a minute ago; return whether there were any."""
        now = self._clock()
        if now < self._full_until:
            return False  # a flood is no time to look through all of them again and again
        lines = list(self._lines.items())
        old = [key for key, (since, _) in lines if now - since >= QUIET_SECONDS]
        for key in old:
            self._lines.pop(key, None)
        if not old:
            self._full_until = min(since for _, (since, _) in lines) + QUIET_SECONDS
        return bool(old)

    def write(
        self,
        level: int,
        left_out: int,
        message: str,
        *values: object,
        exc_info: BaseException | None = None,
    ) -> None:
        """Log ``message``, and how many lines were left out before it, if any."""
        if not logger.isEnabledFor(level):
            return
        if left_out:
            message, values = f"{message} left_out=%s", (*values, left_out)
        fields = build_fields(message, values)
        logger.log(level, message, *values, exc_info=exc_info, extra={"topsort": fields})


class Reporter:
    """Says what became of the events of one backend; ``sender`` is that backend's class."""

    def __init__(self, sender: type | None, limit: LogLimit | None = None) -> None:
        self.sender = sender
        self._limit = limit or log_limit
        # A receiver may record, flush or fail in turn; what it causes is not announced again.
        self._thread = ThreadValues()

    def delivered(self, events: Sequence[Event]) -> None:
        """Say that Topsort has taken ``events``."""
        accounts.count_delivered(events)
        accounts.note_success()
        # A handler that raises must not make the backend look as if it had failed.
        with suppress(Exception):
            self._limit.write(logging.DEBUG, 0, "delivered events=%s", len(events))
        if events_delivered.receivers:
            self._announce(events_delivered, events=list(events))

    def rejected(self, events: Sequence[Event], error: ApiError) -> None:
        """Say that Topsort has refused ``events``, and why."""
        accounts.count_rejected(events)
        said = describe_error(error)
        for kind in sorted({event.kind for event in events}):
            key = ("rejected", kind, error.err_code)
            if kind == "purchases":
                purchases = [event for event in events if event.kind == kind]
                self._name_purchases(purchases, key, "rejected kind=purchases error=%s", said)
            else:
                self._limit.log(logging.WARNING, key, "rejected kind=%s error=%s", kind, said)
        self._announce(events_rejected, events=list(events), error=error)

    def dropped(self, events: Sequence[Event], reason: str) -> None:
        """Say that ``events`` are given up, and why."""
        by_kind: dict[str, list[Event]] = {}
        for event in events:
            by_kind.setdefault(event.kind, []).append(event)
        for kind, some in by_kind.items():
            accounts.count_dropped(kind, len(some), reason)
            self._say_dropped(kind, len(some), reason, some)

    def disabled(self, events: Sequence[Event]) -> None:
        """Say that ``events`` go nowhere because the shop wants it so: counted, not announced."""
        accounts.count_each_dropped(events, "disabled")

    def failed(self, error: ApiError, count: int) -> None:
        """Say that a request failed, and that ``count`` events wait for another."""
        accounts.note_failure(f"{type(error).__name__} {describe_error(error)}")
        self._limit.log(
            logging.ERROR if error.configuration else logging.WARNING,
            ("failed", type(error).__name__),
            "request failed waiting=%s error=%s %s (%s)",
            count,
            type(error).__name__,
            describe_error(error),
            explain_error(error),
        )

    def refused(self, kind: str, error: Exception, path: str = "") -> None:
        """Say that no event of ``kind`` could be made of what was given, and why.

        The field and the rule are logged, the request's ``path``, and of the value its type: it may
        be personal. The traceback is, too, where the shop's own code or settings raised something
        else.
        """
        where, shown = (" path=%s", (_escape(path),)) if path else ("", ())
        if isinstance(error, InvalidEvent):
            detail, given = f"field=%s given=%s{where}: %s", type(error.value).__name__
            values = (error.field, given, *shown, error.rule)
            self.left_out(kind, "invalid", detail, *values, key=error.field)
        else:
            name = type(error).__name__
            detail = f"error=%s{where}"
            self.left_out(kind, "invalid", detail, name, *shown, key=name, exc_info=error)

    def left_out(
        self,
        kind: str,
        reason: str,
        detail: str,
        *values: object,
        key: str = "",
        exc_info: BaseException | None = None,
    ) -> None:
        """Say that there is no event of ``kind`` where there should be one, for ``reason``.

        ``values`` belong into ``detail``. Within a minute only the first of each ``key``, or of the
        same detail, is logged.
        """
        accounts.count_refused(kind, reason)
        if not values:
            detail, values = "%s", (detail,)
        line = (reason, kind, key or detail % values)
        admit = self._limit.admit_name if kind == "purchases" else self._limit.admit
        if (number := admit(line)) is not None:
            said, all_values = f"left out kind=%s reason=%s {detail}", (kind, reason, *values)
            self._limit.write(logging.ERROR, number, said, *all_values, exc_info=exc_info)
        self._announce(events_dropped, kind=kind, count=1, reason=reason, events=[])

    def _say_dropped(self, kind: str, count: int, reason: str, events: list[Event]) -> None:
        key = ("dropped", kind, reason)
        if reason in HARMLESS:
            said = "dropped kind=%s reason=%s count=%s"
            self._limit.log(logging.INFO, key, said, kind, reason, count)
        elif kind == "purchases":
            said = "dropped kind=purchases reason=%s"
            self._name_purchases(events, key, said, reason)
        else:
            said = "dropped kind=%s reason=%s count=%s"
            self._limit.log(logging.WARNING, key, said, kind, reason, count)
        self._announce(events_dropped, kind=kind, count=count, reason=reason, events=events)

    def _name_purchases(
        self, events: Sequence[Event], key: tuple[str, ...], message: str, *values: object
    ) -> None:
        """Log ``message`` with the ids of those of ``events`` not named within the last minute.

        A purchase's id is its order's number, by which it can be reported again.
        """
        found = [(event.id, self._limit.admit_name((*key, event.id))) for event in events]
        named = [(_escape(name), left_out) for name, left_out in found if left_out is not None]
        for start in range(0, len(named), MAX_IDS):
            some = named[start : start + MAX_IDS]
            ids = [name for name, _ in some]
            self._limit.write(
                logging.ERROR,
                sum(left_out for _, left_out in some),
                f"{message} count=%s ids=%s",
                *values,
                len(some),
                Said(",".join(ids), ids=ids),
            )

    def _announce(self, signal: Signal, **facts: Any) -> None:
        own = self._thread.get()
        if getattr(own, "is_announcing", False):
            return
        own.is_announcing = True
        try:
            signal.send_robust(sender=self.sender, **facts)
        except Exception:
            # An async receiver cannot be waited for on an event loop's own thread.
            self._limit.log(
                logging.ERROR,
                ("announce", *sorted(facts)),
                "signal not announced arguments=%s",
                ",".join(sorted(facts)),
                exc_info=sys.exception(),
            )
        finally:
            own.is_announcing = False


def _escape(text: str) -> str:
    """Return the beginning of a text from outside, in one line."""
    return repr(text[:MAX_SHOWN])[1:-1][:MAX_SHOWN]


log_limit = LogLimit()
