"""The methods of FakeApi that ask for a fault, one for each thing that goes wrong in the field."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from django_topsort.testing.faults import ActiveFault, End, Fault, FaultQueue, Headers, Matches
from django_topsort.testing.rules import KINDS, build_error_body, parse_json

if TYPE_CHECKING:
    from django_topsort.testing.ledger import ReceivedRequest

Marker = str | Callable[[Mapping[str, Any]], bool]


class FaultMethods:
    """What FakeApi inherits. Each method returns an ``ActiveFault``, in force from then on.

    ``times`` is how many requests are met (None: any number), ``matches`` tells which. ValueError
    for values that make no sense.
    """

    _faults: FaultQueue

    def fault(self, fault: Fault, times: int | None = None) -> ActiveFault:
        """Show a fault put together by hand."""
        return self._faults.add(fault, times)

    def answer(
        self,
        status: int = 503,
        body: bytes = b"",
        headers: Headers = (),
        *,
        delay: float = 0.0,
        times: int | None = None,
        matches: Matches | None = None,
    ) -> ActiveFault:
        """Answer this, and take nothing. ``headers`` as pairs may hold one name twice."""
        return self.fault(
            Fault(
                status=status,
                body=body,
                headers=headers,
                delay=delay,
                matches=matches,
                verdict=f"answered {status} on demand",
            ),
            times,
        )

    def redirect(
        self, location: str, status: int = 307, *, times: int | None = None
    ) -> ActiveFault:
        """Answer with a redirect, which nobody who holds a key should follow."""
        return self.answer(status, headers={"Location": location}, times=times)

    def huge_body(
        self, size: int = 200 * 1024 * 1024, status: int = 200, *, times: int | None = None
    ) -> ActiveFault:
        """Answer with ``size`` bytes of filling."""
        return self.fault(
            Fault(status=status, padding=size, verdict=f"answered {size} bytes on demand"), times
        )

    def poison(
        self,
        marker: Marker,
        *,
        status: int = 400,
        err_code: str = "bad_request",
        times: int | None = None,
    ) -> ActiveFault:
        """Refuse every body that has a matching event in it, as a whole.

        ``marker`` is a text that stands somewhere in the body, or a function that is called with
        each event as a dict and returns whether it is poison.
        """
        message = "an event of the request is poison"
        return self.fault(
            Fault(
                status=status,
                body=build_error_body(err_code, message),
                headers={"Content-Type": "application/json"},
                matches=_build_matches(marker),
                verdict=message,
            ),
            times,
        )

    def delay(
        self, seconds: float, *, times: int | None = None, matches: Matches | None = None
    ) -> ActiveFault:
        """Wait so many seconds, then answer honestly. A client that left meanwhile loses nothing.

        Its events are not taken, so that a retry is no repetition.
        """
        return self.fault(
            Fault(delay=seconds, matches=matches, verdict=f"delayed by {seconds} s"), times
        )

    def hang(self, *, times: int | None = None, matches: Matches | None = None) -> ActiveFault:
        """Accept the request and never answer, until released; then answer honestly."""
        return self.fault(Fault(delay=math.inf, matches=matches, verdict="hung"), times)

    def drip(
        self, interval: float, *, times: int | None = None, matches: Matches | None = None
    ) -> ActiveFault:
        """Answer honestly, but one byte every ``interval`` seconds."""
        return self.fault(Fault(drip=interval, matches=matches, verdict="dripped"), times)

    def reset(self, *, times: int | None = None, matches: Matches | None = None) -> ActiveFault:
        """Read the request and reset the connection (RST); nothing is taken."""
        return self._end("reset", "the connection was reset", times, matches)

    def close_without_answer(
        self, *, times: int | None = None, matches: Matches | None = None
    ) -> ActiveFault:
        """Read the request and close the connection without a word; nothing is taken."""
        return self._end("close", "the connection was closed", times, matches)

    def lose_answers(
        self, times: int | None = None, *, end: End = "close", matches: Matches | None = None
    ) -> ActiveFault:
        """Take the events, but lose the answer: the connection is closed, reset or hangs."""
        verdict = "the answer was lost"
        return self.fault(Fault(cut_at=0, end=end, matches=matches, verdict=verdict), times)

    def clear_faults(self) -> None:
        """End all faults; requests that are held go on."""
        self._faults.release_all()

    def _end(
        self, end: End, verdict: str, times: int | None, matches: Matches | None
    ) -> ActiveFault:
        return self.fault(
            Fault(status=503, cut_at=0, end=end, matches=matches, verdict=verdict), times
        )


def _build_matches(marker: Marker) -> Matches:
    if isinstance(marker, str):
        encoded = marker.encode()
        return lambda request: encoded in request.body
    return lambda request: _has_event(request, marker)


def _has_event(request: ReceivedRequest, is_poison: Callable[[Mapping[str, Any]], bool]) -> bool:
    try:
        document = parse_json(request.body)
    except (ValueError, RecursionError):
        return False
    events = [event for kind in KINDS for event in document.get(kind, ())]
    return any(is_poison(event) for event in events)
