"""The backend that keeps events in the shop's own database until Topsort has them."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.core.checks import Error
from django.db import connections, transaction

from django_topsort.accounts import accounts
from django_topsort.backends.base import BaseEventBackend
from django_topsort.conf import RELAYS, topsort_settings
from django_topsort.delivery import log_safely
from django_topsort.routing import get_memory_backend
from django_topsort.threads import ThreadValues

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

    from django_topsort.events import Event
    from django_topsort.purchases.announcements import Announcement

APP = "django_topsort.outbox"
# For how long an announced order is left to the process that announced it: a transaction lasts.
PATIENCE = timedelta(seconds=15)


class EventBackend(BaseEventBackend):
    """Writes each event into a table, in the caller's transaction, and relays it from there.

    A purchase is reported if and only if its order is committed, also when the process is killed
    right after. Where the table is missing or the database refuses, the order is committed all the
    same, and the event goes by way of memory.
    """

    blocking = True
    transactional = True

    def __init__(self) -> None:
        super().__init__()
        self._own = ThreadValues()

    def send_events(self, events: Sequence[Event]) -> None:
        if not events:
            return
        try:
            if self._is_foreign_transaction():
                get_memory_backend().send_events(events)
            else:
                self._store(events)
            self._own.get().is_unwritten = False
        except Exception as error:
            said = "outbox not written events=%s; sent from memory instead. Is it migrated?"
            log_safely(logging.ERROR, ("outbox",), said, len(events), error=error)
            self._own.get().is_unwritten = True
            get_memory_backend().send_events(events)

    def take_over(self, events: Sequence[Event]) -> Sequence[Event]:
        """Take what the memory cannot keep. Raises what the database does."""
        from django_topsort.outbox.testruns import test_run

        if test_run.is_over or self._is_foreign_transaction():
            # Recorded by tests, of whose database nothing is left; or in the midst of something
            # that may be rolled back, and has nothing to do with these.
            return events
        if events:
            self._store(events)
        return ()

    def announce(self, announcement: Announcement) -> bool:
        from django_topsort.outbox import announced, store

        using = store.get_outbox_database()
        if announcement.using != using:
            said = "order in another database using=%s outbox=%s; it is reported on commit only"
            log_safely(logging.WARNING, ("using",), said, announcement.using, using)
            return False
        announced.store_announcement(announcement, using, PATIENCE)
        return True

    def withdraw(self, announcement: Announcement) -> None:
        from django_topsort.outbox import announced, store

        own = self._own.get()
        if getattr(own, "is_unwritten", False):
            # Its purchase is in memory only. If the process is killed, another one finds this; if
            # not, the same event is sent once more.
            own.is_unwritten = False
            return
        using = store.get_outbox_database()
        with store.borrowed_connection(using):
            announced.delete_announcement(announcement, using)

    def open(self) -> None:
        from django_topsort.outbox import background, store

        if self._is_relaying(store.get_outbox_database()):
            background.get_relay(self.report).start()

    def flush(self, timeout: float) -> bool:
        from django_topsort.outbox import background, store
        from django_topsort.outbox.models import OutboxEvent

        using = store.get_outbox_database()
        relay = background.get_relay(self.report)
        if background.is_shared(using):
            relay.flush(timeout)
        else:
            deadline = time.monotonic() + timeout
            relay.relay.run(lambda: time.monotonic() < deadline)
        with store.borrowed_connection(using):
            return not OutboxEvent.objects.using(using).waiting().exists()

    def close(self) -> None:
        from django_topsort.outbox import background

        background.close_relay()
        if (engine := _get_engine()) is not None:
            from django_topsort.outbox import nudges

            nudges.close_nudger(engine)

    def check(self) -> list[CheckMessage]:
        if apps.is_installed(APP):
            return []
        text = "TOPSORT_BACKENDS names the outbox, whose app is not installed: it has no table."
        hint = f"Add {APP!r} to INSTALLED_APPS, and migrate."
        return [Error(text, hint=hint, id="django_topsort.E042")]

    def get_state(self) -> dict[str, Any]:
        from django_topsort.outbox.figures import get_figures

        return {"outbox": get_figures()}

    def _store(self, events: Sequence[Event]) -> None:
        from django_topsort.outbox import store

        using = store.get_outbox_database()
        with store.borrowed_connection(using):
            duplicates = store.store_events(events, using)
            stored = events
            if duplicates:
                left = {id(event) for event in duplicates}
                stored = [event for event in events if id(event) not in left]
                self.report.dropped(duplicates, "duplicate")
            accounts.count_stored(stored)
            transaction.on_commit(partial(self._nudge, using), using=using, robust=True)

    def _is_foreign_transaction(self) -> bool:
        """Whether rows written now would share the fate of something else.

        What is sent here has happened: an announcement stands for what has not been committed yet.
        In the tests of a project all is in one transaction, and nothing else would be seen.
        """
        from django_topsort.outbox import store
        from django_topsort.outbox.testruns import test_run

        in_atomic_block = connections[store.get_outbox_database()].in_atomic_block
        return in_atomic_block and not test_run.look()

    def _nudge(self, using: str) -> None:
        from django_topsort.outbox import background

        if not self._is_seen_by_others(using):
            return
        if (engine := _get_engine()) is not None:
            from django_topsort.outbox import nudges

            nudges.get_nudger(engine).nudge()
        elif topsort_settings.TOPSORT_OUTBOX_RELAY:
            background.get_relay(self.report).nudge()

    def _is_relaying(self, using: str) -> bool:
        is_own = bool(topsort_settings.TOPSORT_OUTBOX_RELAY) and _get_engine() is None
        return is_own and self._is_seen_by_others(using)

    def _is_seen_by_others(self, using: str) -> bool:
        from django_topsort.outbox import background
        from django_topsort.outbox.testruns import test_run

        if test_run.look():
            return False  # a thread would go on to the shop's own database when the tests are over
        return background.is_shared(using)


def _get_engine() -> str | None:
    """Return the engine that relays, or None where this process does, or a command."""
    value = topsort_settings.TOPSORT_OUTBOX_RELAY
    return value if isinstance(value, str) and value in RELAYS else None
