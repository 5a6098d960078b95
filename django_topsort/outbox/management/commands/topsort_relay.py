"""``manage.py topsort_relay``: sends what is in the outbox, as the web processes do or for them."""

from __future__ import annotations

import signal
import threading
import time
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.db import close_old_connections, connections

from django_topsort.backends.thread import read_number
from django_topsort.outbox.backend import EventBackend
from django_topsort.outbox.models import OutboxEvent
from django_topsort.outbox.relay import Relay
from django_topsort.outbox.retention import delete_old_rows, delete_old_shoppers
from django_topsort.outbox.store import get_outbox_database
from django_topsort.reporting import Reporter

POLL_SECONDS = 1.0  # between two looks at a table where nothing was due


class Stop(threading.Event):
    """An event that may be set by a signal handler in the midst of its own ``wait()``.

    Python's holds a lock for a moment there, for which a handler would wait forever.
    """

    def __init__(self) -> None:
        super().__init__()
        self._words: SimpleQueue[None] = SimpleQueue()
        self._is_set = False

    def set(self) -> None:
        """End the waiting, and all that is to come."""
        self._is_set = True
        self._words.put(None)

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._is_set

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, at most ``timeout`` seconds; return whether it is."""
        if not self._is_set:
            with suppress(Empty):
                self._words.get(timeout=timeout)
        return self._is_set


class Command(BaseCommand):
    """Relays until it is told to stop. Several of them share the work."""

    help = (
        "Sends what is in the outbox to Topsort. SIGTERM or Ctrl-C ends it after the batch that it"
        " is at. Any number may run, beside one another and beside the web processes."
    )

    build_stop: Callable[[], threading.Event] = Stop

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--once",
            action="store_true",
            help="end when nothing is due any more: 0 when all has been sent, 1 when some waits",
        )

    def handle(self, *, once: bool, **options: Any) -> None:
        stop = self.build_stop()

        def ask_to_stop(number: int, frame: FrameType | None) -> None:
            stop.set()

        # Of this command's own process, for as long as it runs.
        earlier = [
            (number, signal.signal(number, ask_to_stop))
            for number in (signal.SIGTERM, signal.SIGINT)
        ]
        try:
            self._relay(stop, once=once)
        finally:
            for number, handler in earlier:
                signal.signal(number, handler)

    def _relay(self, stop: threading.Event, *, once: bool) -> None:
        using = get_outbox_database()
        relay = Relay(using, Reporter(EventBackend))
        sent = 0
        deleted_at = time.monotonic()
        while not stop.is_set():
            try:
                close_old_connections()
                sent += relay.run(lambda: not stop.is_set())
                if once:
                    break
                if time.monotonic() - deleted_at > read_number("TOPSORT_OUTBOX_SWEEP_INTERVAL", 0):
                    deleted_at = time.monotonic()
                    delete_old_rows(using)
                    delete_old_shoppers()
            except DatabaseError as error:
                if once:
                    raise CommandError(f"the outbox cannot be read: {error}") from error
                self.stderr.write(f"the outbox cannot be read, trying again: {error}")
                connections[using].close()
            stop.wait(max(POLL_SECONDS, relay.get_pause()))
        try:
            if once:
                delete_old_rows(using)
                delete_old_shoppers()
            waiting = OutboxEvent.objects.using(using).waiting().count()
        except DatabaseError as error:
            self.stderr.write(f"the outbox cannot be read: {error}")
            self.stdout.write(f"rows sent or put off: {sent}")
            return
        self.stdout.write(f"rows sent or put off: {sent}, waiting: {waiting}")
        if once and waiting:
            raise SystemExit(1)
