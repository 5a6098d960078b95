"""Reporting orders of the past, at a pace that Topsort and the shop's own queue can follow."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django_topsort.events import Purchase
from django_topsort.exceptions import UnreportableOrder
from django_topsort.purchases.amounts import read_time
from django_topsort.purchases.finding import describe_order, judge_purchase
from django_topsort.purchases.stored_orders import Place
from django_topsort.routing import get_backend
from django_topsort.tracking import record

if TYPE_CHECKING:
    from django_topsort.outcomes import Outcomes

FLUSH_SECONDS = 10.0
PAUSE_SECONDS = 0.2  # after which a pause looks whether it is to end
MOST_WAITING = 5000  # purchases in the outbox, beyond which a run waits for the relays


class Halted(Exception):
    """The run cannot go on; its text says why, and what to do."""


@dataclass(kw_only=True)
class Figures:
    """What became of the orders that were read, before anything is known of their delivery.

    ``left_out``: by reason. ``reported``: handed to the backend, or would have been.
    """

    read: int = 0
    reported: int = 0
    unknown: int = 0
    raised: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(kw_only=True)
class Backfill:
    """One run.

    ``place``: behind which order the next run goes on: all before it have been seen off. ``rate``:
    purchases a second. ``patience``: seconds for which Topsort may not answer. ``is_stopped``:
    asked before each order. ``tell_unknown``, ``tell_raised`` and ``tell_reported`` get an order's
    number, and say it.
    """

    field_name: str
    place: Place
    outcomes: Outcomes
    rate: float
    patience: float
    is_dry: bool
    is_stopped: Callable[[], bool]
    tell_unknown: Callable[[str], None]
    tell_raised: Callable[[str, Exception], None]
    tell_reported: Callable[[str, int], None]
    tell_progress: Callable[[Figures], None]
    figures: Figures = field(default_factory=Figures)
    _next_at: float = 0.0

    def run(self, lists: Iterable[list[Any]]) -> None:
        """Report the orders of ``lists``, one list after the other; Halted where that is no use."""
        for orders in lists:
            place = self.place
            given_up = self._count_given_up()
            for order in orders:
                if self.is_stopped():
                    break
                self._report(order)
                place = Place(getattr(order, self.field_name), order.pk)
            if not self.is_dry:
                self._settle(given_up)
            self.place = place
            self.tell_progress(self.figures)
            if self.is_stopped():
                return

    def _report(self, order: Any) -> None:
        figures = self.figures
        figures.read += 1
        try:
            placed_at = read_time(getattr(order, self.field_name))
            judged = judge_purchase(order, placed_at=placed_at)
        except UnreportableOrder as error:
            if error.reason == "no_shopper":
                figures.unknown += 1
                self.tell_unknown(describe_order(order))
            else:
                figures.left_out[error.reason] += 1
            return
        except Exception as error:
            figures.raised += 1
            self.tell_raised(describe_order(order), error)
            return
        if not isinstance(judged, Purchase):
            figures.left_out[judged] += 1
            return
        figures.reported += 1
        if self.is_dry:
            self.tell_reported(judged.id, len(judged.items))
            return
        record(judged)
        self._pace()

    def _pace(self) -> None:
        now = time.monotonic()
        # What a stall has cost is not made up for by a flood.
        self._next_at = max(self._next_at, now) + 1 / self.rate
        if self._next_at - now > PAUSE_SECONDS:
            self._pause(self._next_at - now)

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.is_stopped():
            time.sleep(min(left, PAUSE_SECONDS))

    def _count_given_up(self) -> tuple[int, int]:
        figures = self.outcomes.get_figures()
        return figures["delivered"], figures["dropped"] - figures["reasons"].get("duplicate", 0)

    def _settle(self, before: tuple[int, int]) -> None:
        """Wait until what was handed over is delivered, or safe in the outbox."""
        until = time.monotonic() + self.patience
        while True:
            is_empty = self.outcomes.flush(FLUSH_SECONDS)
            if refusal := self.outcomes.get_refusal():
                raise Halted(f"Topsort takes nothing: {refusal}. manage.py topsort_send_test_event")
            delivered, given_up = self._count_given_up()
            if given_up > before[1] and delivered == before[0]:
                error = self.outcomes.get_error() or "see the log"
                raise Halted(f"none of the last purchases was delivered: {error}")
            if is_empty or self._is_safe():
                return
            if self.is_stopped() or time.monotonic() > until:
                error = self.outcomes.get_error() or "no answer"
                raise Halted(f"Topsort has not taken what waits: {error}")
            self._pause(1.0)

    def _is_safe(self) -> bool:
        """Whether all is in the outbox, where it outlives this process, and is not too much."""
        state = get_backend("purchases").get_state().get("outbox")
        if state is None or self.outcomes.get_figures()["waiting"] > 0:
            return False
        return bool(state["purchases"]["waiting"] <= MOST_WAITING)
