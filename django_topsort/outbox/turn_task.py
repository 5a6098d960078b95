"""The outbox's task for the workers of Django's tasks."""

from __future__ import annotations

from django_topsort.backends.tasks import build_task, is_publishing, publish_relay
from django_topsort.outbox.turns import take_turn


def relay_outbox() -> None:
    """Send what is due, for half a minute; then let the next task go on."""
    if take_turn() and not is_publishing():
        publish_relay()


relay_outbox = build_task(relay_outbox)
