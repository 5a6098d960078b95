"""Where Celery's ``autodiscover_tasks()`` looks for tasks. For others that do it is empty."""

from __future__ import annotations

import sys

if "celery" in sys.modules:
    from django_topsort.engines.celery import send_events  # noqa: F401
