"""On-commit callbacks in a test: run although the transaction around a ``TestCase`` never commits.

Django's ``captureOnCommitCallbacks(execute=True)`` runs them at the end of its block. This runs
them as soon as the code under test would have committed: when only the test's own transaction is
open. Both can be used together, because each callback runs once, whoever comes first.
"""

from __future__ import annotations

import functools
import logging
import threading
from typing import TYPE_CHECKING, Any

from django.db import connections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger(__name__)


class Once:
    """A callback that was registered while a watch was on: it runs at most once."""

    def __init__(self, callback: Callable[[], object], watch: CommitWatch) -> None:
        functools.update_wrapper(self, callback)
        self.watch = watch
        self.has_run = False
        self._callback = callback

    def __call__(self) -> None:
        if not self.has_run:
            self.has_run = True
            self._callback()


class CommitWatch:
    """Finds the callbacks that are registered in this thread, on all databases, and runs them."""

    def __init__(self) -> None:
        self._thread = 0
        self._watched: list[tuple[BaseDatabaseWrapper, Any]] = []

    def start(self) -> None:
        """Notice the callbacks that are registered from now on."""
        self._thread = threading.get_ident()
        for connection in connections.all():
            self._watched.append((connection, vars(connection).get("on_commit")))
            connection.on_commit = self._build_on_commit(connection.on_commit)  # type: ignore[method-assign]

    def stop(self) -> None:
        """Notice no more callbacks."""
        for connection, earlier in self._watched:
            if earlier is None:
                del connection.on_commit
            else:
                connection.on_commit = earlier  # type: ignore[method-assign]
        self._watched = []

    def run(self, *, at_end: bool = False) -> None:
        """Run the callbacks of transactions that have been committed, but for the test's own.

        ``at_end``: also those of a transaction that was opened around the block and is open still.
        What a callback raises is raised here, unless it was registered as robust. Another thread
        than the one that started the watch runs nothing: the connections are not its own.
        """
        if threading.get_ident() != self._thread:
            return
        while callback := next(self._get_waiting(at_end=at_end), None):
            once, robust = callback
            try:
                once()
            except Exception:
                if not robust:
                    raise
                name = getattr(once, "__qualname__", once)
                logger.exception("on_commit callback failed callback=%s", name)

    def _get_waiting(self, *, at_end: bool) -> Iterator[tuple[Once, bool]]:
        for connection, _ in self._watched:
            state: Any = connection  # its stubs are short of what is looked at here
            blocks = state.atomic_blocks[:1] if at_end else state.atomic_blocks
            # Without a block, or in one that is not the test's, the database does commit, and
            # Django runs the callbacks then.
            if blocks and all(block._from_testcase for block in blocks):
                for _, callback, robust in state.run_on_commit:
                    if not isinstance(callback, Once) or callback.watch is not self:
                        continue
                    if not callback.has_run:
                        yield callback, robust

    def _build_on_commit(self, on_commit: Callable[..., None]) -> Callable[..., None]:
        def watched_on_commit(func: Any, robust: bool = False) -> None:
            if callable(func) and not isinstance(func, Once):
                func = Once(func, self)
            on_commit(func, robust=robust)

        return watched_on_commit
