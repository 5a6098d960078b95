"""The purchases that a process has taken: the same one, handed over again, is not sent again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from django_topsort.sending.handover import HandOver
from django_topsort.wire import encode_event

if TYPE_CHECKING:
    from django_topsort.events import Event
    from django_topsort.exceptions import ApiError
    from django_topsort.sending.wiring import Report

MAX_KNOWN = 4000  # purchases, of each of which an id and a digest are kept


class TakenPurchases:
    """Knows the last purchases of its process, and hears what becomes of them.

    A shop may announce an order at each save, each call of its bank, each click of a clerk. Those
    that Topsort refused or that were given up are forgotten: they may be sent again. It works
    without a lock, which the very thread that hands over may hold.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._known: dict[str, bytes] = {}

    def leave_out(self, handed: HandOver) -> HandOver:
        """Return ``handed`` without the purchases that are here already, and say so of these."""
        if "purchases" not in handed.parts:
            return handed
        again = [event for event in handed.parts["purchases"][0] if self.is_again(event)]
        if not again:
            return handed
        left_out = {id(event) for event in again}
        self.dropped(again, "duplicate")
        return HandOver(event for event in handed if id(event) not in left_out)

    def is_again(self, event: Event) -> bool:
        """Whether the same purchase is on its way or delivered; if not, it is known from now on."""
        try:
            digest = hashlib.sha256(encode_event(event)).digest()
        except Exception:
            return False  # what cannot be written is found as it is sent
        known = self._known.setdefault(event.id, digest)
        if known is digest:
            with suppress(RuntimeError):  # another thread has changed it in between
                while len(self._known) > MAX_KNOWN:
                    self._known.pop(next(iter(self._known)), None)
            return False
        self._known[event.id] = digest
        return known == digest

    def delivered(self, events: Sequence[Event]) -> None:
        """Pass it on."""
        self._report.delivered(events)

    def rejected(self, events: Sequence[Event], error: ApiError) -> None:
        """Pass it on, and forget the purchases among them."""
        self._forget(events)
        self._report.rejected(events, error)

    def dropped(self, events: Sequence[Event], reason: str) -> None:
        """Pass it on, and forget the purchases among them, but for what is there twice."""
        if reason != "duplicate":
            self._forget(events)
        self._report.dropped(events, reason)

    def failed(self, error: ApiError, count: int) -> None:
        """Pass it on."""
        self._report.failed(error, count)

    def _forget(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.kind == "purchases":
                self._known.pop(event.id, None)
