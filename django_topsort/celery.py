"""Celery's worker processes: what waits in one of them is sent when it ends.

The processes of the prefork pool end without Python's exit hooks, on which the thread backend
relies. Celery tells them of their end by a signal of its own.
"""

from __future__ import annotations

import sys
from typing import Any

from django_topsort.routing import close_backends


def connect() -> None:
    """Connect to Celery's signal, where Celery is in use.

    It is imported before Django is set up wherever it matters: a worker is Celery's own program,
    which sets Django up later. So nobody else has to load it.
    """
    signals: Any = sys.modules.get("celery.signals")
    if signals is not None:
        signals.worker_process_shutdown.connect(handle_worker_process_shutdown)


def handle_worker_process_shutdown(**kwargs: object) -> None:
    """Send what waits; the process is killed if that takes it too long."""
    close_backends()
