"""When to stop asking Topsort, and when to ask again."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from django_topsort.exceptions import EverythingRefused

if TYPE_CHECKING:
    from django_topsort.exceptions import ApiError
    from django_topsort.sending.posting import Outcome

FAILURES_TO_OPEN = 5  # failed batches in a row
# A pause grows with the outage, to a tenth of it: after 20 seconds without Topsort its return is
# noticed within 2, after ten minutes within 60.
SHORTEST_PAUSE = 2.0
LONGEST_PAUSE = 60.0
PART_OF_OUTAGE = 0.1
CONFIGURATION_PAUSE = 60.0
LONGEST_RETRY_AFTER = 300.0

FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 30.0


def get_backoff(
    attempts: int,
    rand: Callable[[], float] = random.random,
    first: float = FIRST_BACKOFF,
    longest: float = LONGEST_BACKOFF,
) -> float:
    """Return the seconds to wait after ``attempts`` failures: up to 0.5 s * 2**n, 30 s at most.

    ``first`` and ``longest`` are other seconds than these two.

    Full jitter: all processes of a shop fail at the same moment, and must not return at one.
    """
    limit = min(longest, first * 2.0 ** min(attempts, 16))
    return max(first / 10, limit * rand())


class Circuit:
    """Lets requests through while Topsort answers, and one at a time when it has stopped to.

    Not safe between threads: the sender holds its lock.
    """

    def __init__(self, rand: Callable[[], float] = random.random) -> None:
        self._rand = rand
        self._failures = 0
        self._failing_since = 0.0
        self._open_until: float | None = None
        self._is_probing = False

    @property
    def is_open(self) -> bool:
        """Whether Topsort is taken to be unable to answer."""
        return self._open_until is not None

    def get_delay(self, now: float) -> float | None:
        """Return the seconds until a request may go out: 0 for now, None while a probe is out."""
        if self._open_until is None:
            return 0.0
        if self._is_probing:
            return None
        return max(0.0, self._open_until - now)

    def start(self) -> bool:
        """Note that a request goes out; return whether it is a probe, which should be small."""
        self._is_probing = self.is_open
        return self._is_probing

    def succeed(self, *, is_probe: bool = False) -> None:
        """Note that Topsort answered: what it said of the events does not matter here.

        An open circuit is closed by its probe only: an answer to an older request says nothing of
        now, and would cut short the time that Topsort asked us to wait.
        """
        if self.is_open and not is_probe:
            return
        self._failures = 0
        self._open_until = None
        self._is_probing = False

    def fail(self, error: ApiError, now: float, *, is_probe: bool = False) -> None:
        """Note that a batch came back for a reason that is not its own."""
        self.give_up(is_probe=is_probe)
        if not self._failures:
            self._failing_since = now
        self._failures += 1
        pause = 0.0
        # That everything is refused may yet be chance, and the next events may pass.
        is_certain = error.configuration and not isinstance(error, EverythingRefused)
        if is_certain:
            pause = CONFIGURATION_PAUSE
        elif error.configuration or self._failures >= FAILURES_TO_OPEN or self.is_open:
            outage = now - self._failing_since
            pause = min(LONGEST_PAUSE, max(SHORTEST_PAUSE, outage * PART_OF_OUTAGE))
            pause *= 0.5 + self._rand() / 2
        if error.retry_after is not None:
            pause = max(pause, min(error.retry_after, LONGEST_RETRY_AFTER))
        if pause > 0:
            self._open_until = max(self._open_until or 0.0, now + pause)

    def note(self, outcome: Outcome, now: float, *, is_probe: bool) -> None:
        """Note what became of a batch: whether Topsort answered, or was not asked at all."""
        if outcome.error is not None and not outcome.error.isolate:
            self.fail(outcome.error, now, is_probe=is_probe)
        elif outcome.requests:
            self.succeed(is_probe=is_probe)
        else:
            self.give_up(is_probe=is_probe)

    def give_up(self, *, is_probe: bool) -> None:
        """Note that a request ended and told nothing of Topsort.

        Only the end of the probe itself lets another one out: requests from before the outage fail
        for as long as their timeouts last.
        """
        if is_probe:
            self._is_probing = False
