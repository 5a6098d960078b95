"""A shop's Celery: orders are reported by tasks. ``CELERY_QUEUE`` names the test's own queue."""

from __future__ import annotations

import os

from celery import Celery  # type: ignore[import-not-found,import-untyped,unused-ignore]

# As in a project: the settings are named first, and Celery sets Django up in its worker.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.servers.project.settings")

app = Celery("shop", broker=os.environ["CELERY_BROKER"])
app.conf.task_default_queue = os.environ["CELERY_QUEUE"]
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_prefetch_multiplier = 1


@app.task  # type: ignore[untyped-decorator,unused-ignore]
def report(name: str) -> None:
    from tests.faults.recording import record_order
    from tests.servers.project import ledger  # noqa: F401  # connects itself

    record_order(name)
