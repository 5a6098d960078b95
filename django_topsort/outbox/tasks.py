"""The outbox's task for Celery's workers, where ``autodiscover_tasks()`` finds it."""

from __future__ import annotations

import sys

from django_topsort.outbox.turns import take_turn

if "celery" in sys.modules:
    from celery import shared_task

    from django_topsort.backends.celery import publish_relay

    # No acknowledgement after the fact: what a killed worker leaves, the next turn finds.
    @shared_task(  # type: ignore[untyped-decorator]
        name="django_topsort.relay_outbox",
        ignore_result=True,
        store_errors_even_if_ignored=False,
        serializer="json",
        soft_time_limit=None,
    )
    def relay_outbox() -> None:
        """Send what is due, for half a minute; then let the next task go on."""
        if take_turn():
            publish_relay()
