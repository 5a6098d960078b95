"""One task of several that wait in a worker of Celery, so that Topsort is asked less often.

Celery sends each message to its pool by itself. While all of a pool's processes are at work, what
the worker has fetched waits there as requests of Celery's. The next one that is let through takes
others along: their events go with its own, and their fate is its own, whatever that is. So they are
acknowledged when all is done, and go back to the broker together if its process is killed.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from itertools import count
from typing import Any

from celery.exceptions import TaskRevokedError
from celery.worker import state
from celery.worker.request import Request

MAX_MERGED = 50  # messages taken along
MAX_BYTES = 128 * 1024  # of JSON taken along: about ten requests to Topsort, one after the other
# In pools that start whatever they get, threads and greenlets, so many tasks run at a time, or half
# of the pool: one that ends starts another, for which there must be a place while it has its own.
MOST_AT_A_TIME = 8

_lock = threading.Lock()
_numbers = count()


class MergingRequest(Request):  # type: ignore[misc]
    """A task that a worker has fetched. Its first argument is a list of messages."""

    # The instances' own, once they are set.
    followers: list[MergingRequest] = []
    is_taken = False  # has begun, or goes with another
    is_running = False
    pool: Any = None
    _body: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.number = next(_numbers)  # in the order in which they were fetched

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Celery makes a subclass for its worker, which overrides what is to be ours."""
        super().__init_subclass__(**kwargs)
        execute = cls.execute_using_pool

        def execute_using_pool(self: MergingRequest, pool: Any, **kwargs: Any) -> Any:
            if self.is_taken or self.revoked() or not self._take_place(pool):
                # With this Celery gives the place in the pool to the next one.
                raise TaskRevokedError(self.id)
            return execute(self, pool, **kwargs)

        cls.execute_using_pool = execute_using_pool

    def acknowledge(self) -> None:
        """Say that all is done: of this task and of those that it took along."""
        super().acknowledge()
        for follower in self._dismiss():
            follower.on_success((False, None, 0.0))
        self._let_next_go()

    def reject(self, requeue: bool = False) -> None:
        """Let the broker have all of them back."""
        super().reject(requeue)
        for follower in self._dismiss():
            state.task_ready(follower)
            follower.reject(requeue=True)  # it has nothing to do with what is wrong
        self._let_next_go()

    def _announce_revoked(self, *args: Any) -> None:
        # Somebody has ended this task, and knows nothing of the others.
        for follower in self._dismiss():
            state.task_ready(follower)
            follower.reject(requeue=True)
        super()._announce_revoked(*args)

    def _take_place(self, pool: Any) -> bool:
        """Begin, and take along what waits; return False if this one has to wait itself."""
        with _lock:
            known = _get_reserved(self.task)
            most = 0 if pool.uses_semaphore else min((pool.limit or 0) // 2, MOST_AT_A_TIME)
            if most:
                if sum(one.is_running for one in known) >= most:
                    return False
                self.pool = pool
            self.is_taken = self.is_running = True
            # This runs in the worker's main process, which must survive any message.
            if _find_messages(self) is not None:
                others = [one for one in known if not one.is_taken and not one.revoked()]
                self.followers = _choose(others)
            for follower in self.followers:
                follower.is_taken = True
        if self.followers:
            tasks = (self, *self.followers)
            messages = [one for task in tasks for one in _find_messages(task) or ()]
            _, _, embed = self._payload
            self._body = ([messages], {}, embed)
            self._content_type = self._content_encoding = None  # there is nothing to decode
        return True

    def _dismiss(self) -> list[MergingRequest]:
        followers, self.followers = self.followers, []
        return followers

    def _let_next_go(self) -> None:
        """Where no semaphore of Celery's does, let one that waits begin."""
        was_running, self.is_running = self.is_running, False
        if not was_running or self.pool is None:
            return
        for request in _get_reserved(self.task):
            if not request.is_taken:
                with suppress(TaskRevokedError):
                    request.execute_using_pool(self.pool)
                return


def _get_reserved(task: Any) -> list[MergingRequest]:
    """Return what the worker has fetched of ``task`` and is due: it waits, or is worked at.

    Celery empties this when the connection is lost: then the broker gives it to somebody else.
    """
    while True:
        with suppress(RuntimeError):  # another thread has changed it meanwhile
            found = [
                one
                for one in list(state.reserved_requests)
                if isinstance(one, MergingRequest) and one.name == task.name
            ]
            return sorted(found, key=lambda one: one.number)


def _choose(requests: list[MergingRequest]) -> list[MergingRequest]:
    """Return the first of ``requests`` that may go together; an unreadable one goes alone."""
    size = 0
    chosen: list[MergingRequest] = []
    for request in requests:
        messages = _find_messages(request)
        if messages is None:
            continue
        size += sum(len(body) for body, *_ in messages)
        if size > MAX_BYTES or len(chosen) >= MAX_MERGED:
            break
        chosen.append(request)
    return chosen


def _find_messages(request: MergingRequest) -> list[Any] | None:
    """Return the messages of a request; None for what is none of ours, or of another version."""
    args = request.args
    if not (isinstance(args, list | tuple) and len(args) == 1 and not request.kwargs):
        return None
    messages = args[0]
    if not isinstance(messages, list | tuple):
        return None
    if all(
        isinstance(one, list | tuple) and len(one) == 3 and type(one[0]) is str for one in messages
    ):
        return list(messages)
    return None
