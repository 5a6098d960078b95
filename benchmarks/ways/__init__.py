"""The ways from a request to Topsort, side by side: thread, outbox, Celery, Django Tasks.

``python -m benchmarks.ways`` lets a shop's web processes show pages at the pace of a marketplace,
and ``python -m benchmarks.ways.day`` goes through a day of it on paper.
"""

from __future__ import annotations

from pathlib import Path

NOTHING = "nothing"  # the same pages, of which nobody hears
WAYS = (NOTHING, "thread", "outbox", "celery", "tasks")
WORKERS = {"celery": "celery", "tasks": "db_worker"}  # the program that works for a way
HERE = Path(__file__).parent
