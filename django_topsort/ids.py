"""Ids of events and shoppers: UUIDs of version 7, unique across threads, processes and forks.

Topsort recommends version 7 for the opaque user id (the ``OpaqueUserID`` schema) and wants an
event's id to stay the same when the event is sent again (``EventIdentifier``).
"""

from __future__ import annotations

import os
import time
from itertools import count

COUNTER_VALUES = 0x10000  # the last four hex digits of an id

_HEX = tuple(f"{byte:02x}" for byte in range(256))  # a third of the time of formatting

_forks = 0


def _count_fork() -> None:
    global _forks  # noqa: PLW0603 - a hook that runs in the child can reach nothing else
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)


def build_id() -> str:
    """Return a new UUID of version 7 in its usual form of 36 characters."""
    noise = os.urandom(10).hex()
    return f"{_build_prefix(noise)}{noise[16:]}"


class IdSequence:
    """Ids that share one clock reading and one random number: the ids of one request's events.

    A page of 24 products takes one call to the operating system in place of 24. The prefix has 58
    random bits and the counter follows it, so two sequences of one millisecond do not meet. Threads
    may share a sequence; a forked child goes on with a new prefix.
    """

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state = _build_state()

    def build_next(self) -> str:
        """Return the next id."""
        forks, prefix, counter = self._state
        number = next(counter)
        if number >= COUNTER_VALUES or forks != _forks:
            self._state = _build_state()
            return self.build_next()
        return f"{prefix}{_HEX[number >> 8]}{_HEX[number & 255]}"


def _build_state() -> tuple[int, str, count[int]]:
    # The number of forks first: a fork after it shows, and the prefix is made again.
    return _forks, _build_prefix(os.urandom(8).hex()), count()


def _build_prefix(noise: str) -> str:
    """Return the first 32 characters of an id, all but the counter, from 16 hex digits."""
    milliseconds = f"{time.time_ns() // 1_000_000:012x}"
    variant = "89ab"[int(noise[3], 16) & 3]
    head = f"{milliseconds[:8]}-{milliseconds[8:]}-7{noise[:3]}-{variant}"
    return f"{head}{noise[4:7]}-{noise[7:15]}"
