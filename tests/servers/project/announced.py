"""Gunicorn's settings for several workers: each says in the log when it can be asked to end.

A worker that gunicorn asks to end between its fork and its own signal handlers never hears of it,
and is killed when the time of grace is over. Gunicorn says "Booting worker" before them.
"""

from __future__ import annotations

from typing import Any

READY = "takes signals"


def post_worker_init(worker: Any) -> None:
    worker.log.info("Worker %d %s", worker.pid, READY)
