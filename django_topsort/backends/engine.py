"""What the backends have in common that give events to an engine the shop already runs."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from django_topsort.accounts import accounts
from django_topsort.backends.base import BaseEventBackend
from django_topsort.backends.thread import read_number
from django_topsort.exceptions import TopsortConfigurationError
from django_topsort.reporting import log_limit
from django_topsort.sending.publisher import PATIENCE, Publisher
from django_topsort.sending.sender import await_exit
from django_topsort.wire import build_request, decode_request, encode_request

if TYPE_CHECKING:
    from django_topsort.events import Event
    from django_topsort.userlinks import UserLink

# Amazon's queues refuse a message of 256 KiB, which is the least of all brokers.
MAX_MESSAGE = 128 * 1024  # bytes of JSON
PART_FOR_BROKER = 0.2  # of the time that a process which ends has


class Message(Struct, frozen=True):
    """One task's argument: the JSON of an events request, and what is known of its sending.

    ``since``: when its events were handed over, as seconds since 1970. ``attempts``: how often it
    has been tried to post them.
    """

    body: str
    since: float
    attempts: int = 0

    def pack(self) -> list[Any]:
        """Return it as it stands in a task's argument, from which ``Message(*packed)`` is made."""
        return [self.body, self.since, self.attempts]


def build_messages(events: Sequence[Event], since: float, attempts: int = 0) -> list[Message]:
    """Return ``events`` as one message, or as more where they make more than 128 KiB of JSON."""
    body = encode_request(build_request(events))
    if len(body) > MAX_MESSAGE and len(events) > 1:
        middle = len(events) // 2
        halves = (events[:middle], events[middle:])
        return [one for half in halves for one in build_messages(half, since, attempts)]
    return [Message(body.decode(), since, attempts)]


def read_message(message: Message) -> list[Event]:
    """Return a message's events. Raises InvalidEvent for what is none."""
    return list(decode_request(message.body))


class EngineBackend(BaseEventBackend):
    """Gives each request's events to an engine as one JSON task; its workers post them.

    A subclass writes ``publish``. Whoever records events waits for the broker for 50 ms at most.
    What the broker has not got then, because it is down or slow, goes to the ``overflow``, or to
    this process's memory where there is none, from where the thread backend posts it.
    """

    blocking = True

    def __init__(self) -> None:
        super().__init__()
        self._publisher = Publisher(
            self.publish,
            accounts.count_stored,
            self.keep,
            self._say_failed,
            at_exit=self.close,
        )
        self._memory_user = 0  # the process that has used the memory

    def publish(self, message: Message) -> None:
        """Give one message to the engine, and raise whatever says that it has not got it."""
        raise NotImplementedError(f"{type(self).__qualname__} must define publish(message)")

    def send_events(self, events: Sequence[Event]) -> None:
        if not events:
            return
        try:
            packed = self._pack(events)
        except Exception:  # one that cannot be written: the memory finds out which
            self.keep(events)
            return
        for some in self._put(packed):
            self.keep(some)

    def take_over(self, events: Sequence[Event]) -> Sequence[Event]:
        """Take what another backend cannot keep, and return what the broker has not got."""
        packed = self._pack(events) if events else []
        return [event for some in self._put(packed) for event in some]

    def link_users(self, link: UserLink) -> None:
        """Let the thread backend report it: links have a lane of their own there."""
        memory = self.get_memory()
        if memory is None:
            super().link_users(link)
        else:
            memory.link_users(link)

    def _pack(self, events: Sequence[Event]) -> list[tuple[Message, Sequence[Event]]]:
        messages = build_messages(events, time.time())
        if len(messages) == 1:
            return [(messages[0], tuple(events))]
        return [(message, read_message(message)) for message in messages]

    def _put(self, packed: Sequence[tuple[Message, Sequence[Event]]]) -> Iterator[Sequence[Event]]:
        """Give messages to the publisher; yield the events of those that the broker has not got."""
        deadline = time.monotonic() + PATIENCE  # for all of them
        for message, some in packed:
            left = max(0.0, deadline - time.monotonic())
            if not self._publisher.put(message, some, left):
                yield some

    def keep(self, events: Sequence[Event]) -> None:
        """Let others have what the broker has not got: the overflow, or the memory. Never raises.

        They are counted as recorded, or as taken, by now. Where nobody has them, they are dropped.
        """
        left = self.overflow(events)
        if not left:
            return
        with suppress(Exception):
            memory = self.get_memory()
            if memory is not None:
                memory.send_events(left)
                self._end_before_memory()
                return
        self.report.dropped(left, "overflow")

    def _end_before_memory(self) -> None:
        """Let the memory be the last to end: it may get what the broker has not got by then."""
        if self._memory_user != os.getpid():
            self._memory_user = os.getpid()
            await_exit(self.close)

    def _say_failed(self, error: BaseException, count: int) -> None:
        with suppress(Exception):  # a log handler may raise
            name = type(error).__name__
            if isinstance(error, ImportError) and error.name:
                name = f"{name}({error.name})"
            elif isinstance(error, TopsortConfigurationError):  # ours: no password is in it
                name = f"{name}: {error}"
            said = "not given to the engine backend=%s events=%s error=%s; they take another way"
            key = ("engine", type(self).__module__, name)
            log_limit.log(logging.WARNING, key, said, type(self).__module__, count, name)

    def flush(self, timeout: float) -> bool:
        return self._publisher.flush(timeout)

    def get_state(self) -> dict[str, Any]:
        return {"is_paused": self._publisher.is_paused()}

    def close(self) -> None:
        timeout = read_number("TOPSORT_SHUTDOWN_TIMEOUT", 0) * PART_FOR_BROKER
        if self._publisher.close(timeout):
            # Python calls nobody who asks for it only now that the process ends.
            memory = self.get_memory()
            if memory is not None:
                memory.close()
