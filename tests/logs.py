"""Log handlers of a project that do more than write."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Handler(logging.Handler):
    """Calls a function with each line, and lets out what it raises."""

    def __init__(self, take: Callable[[logging.LogRecord], object]) -> None:
        super().__init__()
        self.take = take

    def emit(self, record: logging.LogRecord) -> None:
        self.take(record)


@contextmanager
def handle_log(take: Callable[[logging.LogRecord], object], level: int) -> Iterator[None]:
    """Call ``take`` with each line of the package that has ``level`` or more."""
    logger = logging.getLogger("django_topsort")
    handler, before = Handler(take), logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
