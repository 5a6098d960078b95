"""Where Celery's ``autodiscover_tasks()`` looks for tasks. Others look here, too: then it is empty."""

from __future__ import annotations

import sys

if "celery" in sys.modules:
    from django_topsort.engines.celery import send_events  # noqa: F401
