"""Whether it is an event that Topsort refuses, or everything that is sent to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from django_topsort.exceptions import EverythingRefused

if TYPE_CHECKING:
    from django_topsort.events import Event
    from django_topsort.exceptions import ApiError
    from django_topsort.sending.posting import Outcome

REFUSALS_TO_STOP = 3  # batches in a row of which every event was refused


class Refusals:
    """Looks at one outcome after another, and takes back rejections that prove nothing.

    An event is at fault if Topsort takes others and refuses this one. Where it takes none, it may
    be the account's fault, or that of our version, and what was rejected would be lost for nothing.

    Not safe between threads: the sender holds its lock.
    """

    def __init__(self) -> None:
        self._in_a_row = 0
        self._last_taken = -math.inf

    def weigh(
        self,
        outcome: Outcome,
        *,
        started: float,
        refused_since: float | None,
        is_last: Callable[[Event], bool],
    ) -> None:
        """Let those events wait whose rejection may not be their own fault.

        ``started``: when the batch was posted. ``refused_since``: when its events first came back
        from a batch that was refused in full, or None; such a batch counts once. ``is_last``:
        whether an event has been tried enough: then a purchase is not kept for a doubt.
        """
        if outcome.delivered:
            self._in_a_row = 0
            self._last_taken = max(self._last_taken, started)
            return
        if not (outcome.rejected and outcome.requests):
            return
        if outcome.error is None and (refused_since is None or self._is_stopped):
            self._in_a_row += 1
        error = outcome.rejected[-1][1]
        if self._is_stopped:
            kept = [event for event, _ in outcome.rejected]
            outcome.error = outcome.error or _build_error(error)
        elif refused_since is not None and self._last_taken > refused_since:
            return
        else:
            purchases = [event for event, _ in outcome.rejected if event.kind == "purchases"]
            kept = [event for event in purchases if not is_last(event)]
            if kept:
                outcome.error = outcome.error or error
        _take_back(outcome, kept)

    @property
    def _is_stopped(self) -> bool:
        return self._in_a_row >= REFUSALS_TO_STOP


def _take_back(outcome: Outcome, kept: list[Event]) -> None:
    ids = {id(event) for event in kept}
    outcome.rejected = [pair for pair in outcome.rejected if id(pair[0]) not in ids]
    outcome.waiting += kept  # behind those that were not asked about yet


def _build_error(error: ApiError) -> EverythingRefused:
    return EverythingRefused(
        error.message,
        status=error.status,
        err_code=error.err_code,
        doc_url=error.doc_url,
        retry_after=error.retry_after,
    )
