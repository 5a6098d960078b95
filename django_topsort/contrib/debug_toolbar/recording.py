"""Listening to one request: what was asked for, recorded, refused, dropped, and told a browser."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django_topsort.conf import topsort_settings
from django_topsort.exceptions import InvalidEvent
from django_topsort.facts import get_collector
from django_topsort.purchases.registry import find_registered_product_id
from django_topsort.purchases.values import is_plain_id
from django_topsort.signals import (
    event_recorded,
    events_delivered,
    events_dropped,
    events_rejected,
)

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_topsort.events import Event
    from django_topsort.parts import Part

MAX_SHOWN = 200  # events of a request; the others are counted
MAX_PENDING = 8  # calls of one thread that wait for their event; more only if none was made of them
MAX_FATES = 5000  # events of which it is known what became of them
MAX_WHY = 300  # characters of an error


@dataclass(frozen=True, slots=True)
class Call:
    """Of what an event was to be made: the names that say something, and never their values.

    ``given``: of the call. ``placed``: of the placement that the template had set. ``read``: how
    the product's id was read.
    """

    kind: str
    given: frozenset[str]
    placed: frozenset[str]
    read: str = ""
    is_other: bool = False


@dataclass(slots=True)
class Noted:
    """An event, and the call of which it was made; None where there was none."""

    event: Event
    call: Call | None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """So many of a kind that were not made or not kept, why, and the rule, if there is one."""

    kind: str
    number: int
    reason: str
    rule: str = ""


class Recorder:
    """Notes what happens in one request, from whichever thread; the collector's observer."""

    def __init__(self) -> None:
        self.noted: list[Noted] = []
        self.counts: Counter[str] = Counter()
        self.left_out: list[LeftOut] = []
        self.told: list[tuple[str, Part | None]] = []
        self.told_counts: Counter[str] = Counter()
        self.dropped: dict[str, str] = {}
        self._lock = threading.RLock()
        self._asked: Counter[str] = Counter()
        self._ended: Counter[str] = Counter()
        self._pending: dict[int, deque[Call]] = {}
        self._announced: Counter[str] = Counter()

    def note_call(
        self, kind: str, given: Mapping[str, object], placement: Mapping[str, object] | None
    ) -> None:
        """Note a call that is to become an event; it waits for that in its thread."""
        with suppress(Exception), self._lock:
            call = Call(
                kind,
                frozenset(name for name, value in given.items() if says_something(value)),
                frozenset(placement or ()),
                describe_reading(given.get("product")) if "product" in given else "",
                given.get("page_type") == "other",
            )
            if kind != "purchases":  # which come when they are committed, if they are
                self._asked[kind] += 1
            waiting = self._pending.setdefault(threading.get_ident(), deque(maxlen=MAX_PENDING))
            waiting.append(call)

    def note_refusal(self, kind: str, error: Exception, *, is_counted: bool) -> None:
        """Note that no event came of a call, with the field and the rule."""
        with suppress(Exception), self._lock:
            if self._take_call(kind) is not None:
                self._ended[kind] += 1
            self._announced[kind] += is_counted
            # The value may be anything; whoever looks has given it himself.
            rule = str(error) if isinstance(error, InvalidEvent) else repr(error)
            self._leave_out(LeftOut(kind, 1, "invalid", rule[:MAX_WHY]))

    def note_told(self, door: str, part: Part | None) -> None:
        """Note what the page tells its browser."""
        with suppress(Exception), self._lock:
            self.told_counts[door] += 1
            if len(self.told) < MAX_SHOWN:
                self.told.append((door, part))

    def note_event(self, event: Event) -> None:
        """Note that ``event`` was recorded."""
        with self._lock:
            call = self._take_call(event.kind)
            if call is not None:
                self._ended[event.kind] += 1
            self.counts[event.kind] += 1
            if len(self.noted) < MAX_SHOWN:
                self.noted.append(Noted(event, call))

    def note_drop(
        self, kind: str, number: int, reason: str, events: list[Event], *, is_ours: bool
    ) -> None:
        """Note a drop in the course of this request; ``is_ours``: also of what was not recorded."""
        with self._lock:
            known = {(one.event.kind, one.event.id) for one in self.noted}
            ours = [event for event in events if (event.kind, event.id) in known]
            for event in ours:
                self.dropped[build_name(event)] = reason
            number -= len(ours)
            if not is_ours or not number:
                return
            if reason == "invalid" and self._announced[kind]:
                self._announced[kind] -= 1  # that has been told with its rule
                return
            self._leave_out(LeftOut(kind, number, reason))

    def count_silent(self) -> dict[str, int]:
        """Return of each kind how often neither an event nor an error came of a call."""
        with self._lock:
            more = self._asked - self._ended
        return {kind: number for kind, number in more.items() if number > 0}

    def _leave_out(self, left_out: LeftOut) -> None:
        if len(self.left_out) < MAX_SHOWN:
            self.left_out.append(left_out)

    def _take_call(self, kind: str) -> Call | None:
        """Return the call that this thread made last, if it was for this kind."""
        waiting = self._pending.get(threading.get_ident())
        return waiting.pop() if waiting and waiting[-1].kind == kind else None


# Which request is being answered here, for what is said without one: drops.
current: ContextVar[Recorder | None] = ContextVar("django_topsort_recorder", default=None)
# What became of the last events of this process, by build_name(): the panel is opened later.
fates: OrderedDict[str, str] = OrderedDict()


def handle_recorded(sender: object, event: Event, request: HttpRequest | None, **kw: Any) -> None:
    """Note an event in the request that it belongs to."""
    if request is None:
        recorder = current.get()
    else:
        # By the request, and not by the thread: the body of a streaming response comes later.
        found = get_collector(request).observer
        recorder = found if isinstance(found, Recorder) else None
    if recorder is not None:
        recorder.note_event(event)


def handle_dropped(
    sender: object, kind: str, count: int, reason: str, events: list[Event], **kw: Any
) -> None:
    """Note a drop in the request that is being answered, and what became of the events."""
    set_fate(events, f"dropped: {reason}")
    if (recorder := current.get()) is not None:
        # A backend may give up what others have recorded; what has no backend is of this request.
        recorder.note_drop(kind, count, reason, events, is_ours=sender is None)


def handle_delivered(sender: object, events: list[Event], **kw: Any) -> None:
    """Note what became of the events."""
    set_fate(events, "delivered")


def handle_rejected(sender: object, events: list[Event], error: Exception, **kw: Any) -> None:
    """Note what became of the events."""
    set_fate(events, f"refused by Topsort: {error}"[:MAX_WHY])


def set_fate(events: list[Event], fate: str) -> None:
    """Remember what became of ``events``, and forget what happened long before."""
    for event in events:
        fates[build_name(event)] = fate
    with suppress(KeyError):  # another thread may be at it
        while len(fates) > MAX_FATES:
            fates.popitem(last=False)


def build_name(event: Event) -> str:
    """Return by what an event is remembered."""
    return f"{event.kind}:{event.id}"


RECEIVERS = (
    (event_recorded, handle_recorded),
    (events_dropped, handle_dropped),
    (events_delivered, handle_delivered),
    (events_rejected, handle_rejected),
)


def connect() -> None:
    """Connect the receivers; once, however often it is called.

    They stay: what becomes of events is heard long after their request.
    """
    for signal, receiver in RECEIVERS:
        signal.connect(receiver, dispatch_uid=f"{__name__}.{receiver.__name__}")


def disconnect() -> None:
    """Listen to nothing any more, and forget what was heard."""
    for signal, receiver in RECEIVERS:
        signal.disconnect(receiver, dispatch_uid=f"{__name__}.{receiver.__name__}")
    fates.clear()


def says_something(value: object) -> bool:
    """Whether an argument counts as given: a variable that a template lacks is an empty text."""
    return value is not None and not (isinstance(value, str) and value == "")


def describe_reading(product: object) -> str:
    """Return how the id of ``product`` is read, as ``get_product_id`` does."""
    if product is None or is_plain_id(product):
        return ""
    if topsort_settings.get_hook("TOPSORT_PRODUCT_ID") is not None:
        return "by TOPSORT_PRODUCT_ID"
    if find_registered_product_id(product) is not None:
        return "as registered for its model"
    return "its primary key"
