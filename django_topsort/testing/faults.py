"""Faults that a FakeApi can show on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from django_topsort.testing.ledger import ReceivedRequest

if TYPE_CHECKING:
    from types import TracebackType

End = Literal["keep", "close", "reset", "hang"]
Headers = Mapping[str, str] | Sequence[tuple[str, str]]
Matches = Callable[[ReceivedRequest], bool]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is done with a request instead of answering it as it deserves.

    In the order in which it happens:

    * ``matches``: only requests for which this returns True are met; None: all
    * ``delay``: seconds to wait first; ``math.inf``: until the fault is released
    * ``status``: 200 to 599: this is answered and no event is taken; None: the honest answer
    * ``headers``: instead of those that the answer would have; only with ``status``
    * ``body``: the body of the answer; only with ``status``
    * ``padding``: so many bytes of filling are sent after the body; only with ``status``
    * ``drip``: seconds to wait after each byte of the answer
    * ``cut_at``: so many bytes of the answer are sent, then ``end``; None: all of them
    * ``end``: what becomes of the connection: ``"keep"``, ``"close"``, ``"reset"`` (RST), or
      ``"hang"`` (nothing more comes; closed when the fault is released)
    * ``verdict``: what ``FakeApi.requests`` says of it
    """

    matches: Matches | None = None
    delay: float = 0.0
    status: int | None = None
    headers: Headers = ()
    body: bytes = b""
    padding: int = 0
    drip: float = 0.0
    cut_at: int | None = None
    end: End = "keep"
    verdict: str = "a fault was asked for"

    def __post_init__(self) -> None:
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError(f"status: {self.status!r} is not allowed, it must be 200 to 599")
        if self.status is None and (self.headers or self.body or self.padding):
            raise ValueError("headers, body, padding: they need a status")
        if self.cut_at is not None and self.end == "keep":
            raise ValueError("cut_at: it needs an end other than 'keep'")


class ActiveFault:
    """A fault in force: from the call that asked for it until it is released or used up.

    As a context manager it is released at the end of the block.
    """

    def __init__(self, fault: Fault, times: int | None, changed: threading.Condition) -> None:
        self.fault = fault
        self.hits = 0
        self.released = threading.Event()
        self._times = times
        self._changed = changed

    def __repr__(self) -> str:
        return f"<ActiveFault {self.fault.verdict!r}: {self.hits} of {self._times or 'any'}>"

    @property
    def used_up(self) -> bool:
        """Whether it has met as many requests as it was asked to."""
        return self.hits == self._times

    @property
    def is_over(self) -> bool:
        """Whether it is of no more use: released, or used up and unable to hold a request."""
        slow = self.fault.delay or self.fault.drip or self.fault.end == "hang"
        return self.released.is_set() or (self.used_up and not slow)

    def release(self) -> None:
        """End the fault: requests that it holds go on, later ones are not met by it."""
        self.released.set()

    def wait_for_hit(self, count: int = 1, timeout: float = 5.0) -> None:
        """Wait until it has met ``count`` requests; AssertionError after ``timeout`` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.hits >= count, timeout):
                raise AssertionError(
                    f"{count} requests were expected to meet {self!r} within {timeout} s"
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


class FaultQueue:
    """The faults in force. A request is met by one: the oldest that matches and is not used up."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._faults: list[ActiveFault] = []

    def add(self, fault: Fault, times: int | None) -> ActiveFault:
        """Put a fault at the end of the queue, for ``times`` requests (None: any number)."""
        if times is not None and times < 1:
            raise ValueError(f"times: {times!r} is not allowed, it must be 1 or more, or None")
        active = ActiveFault(fault, times, self._changed)
        with self._changed:
            self._faults = [known for known in self._faults if not known.is_over]
            self._faults.append(active)
        return active

    def meet(self, request: ReceivedRequest) -> ActiveFault | None:
        """Return the fault that meets this request, and count that it does."""
        with self._changed:
            for active in self._faults:
                if active.used_up or active.released.is_set():
                    continue
                if active.fault.matches is None or active.fault.matches(request):
                    active.hits += 1
                    self._changed.notify_all()
                    return active
        return None

    def get_active(self) -> list[ActiveFault]:
        """Return the faults that can still meet a request."""
        with self._changed:
            return [
                active
                for active in self._faults
                if not active.used_up and not active.released.is_set()
            ]

    def release_all(self) -> None:
        """End all faults, also those that are used up but still hold a request."""
        with self._changed:
            for active in self._faults:
                active.release()
            self._faults = []
