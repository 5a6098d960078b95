"""Which requests of Celery's go together, and that they share one fate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from celery.exceptions import Reject, TaskRevokedError
from celery.worker import state
from celery.worker.request import create_request_cls

from django_topsort.backends.celery import SEND_EVENTS, get_task
from django_topsort.engines import merging
from tests.engines.apps import make_app


class Pool:
    """A pool of processes of which none is ever done; ``limit`` matters without a semaphore."""

    def __init__(self, *, uses_semaphore: bool = True, limit: int = 4) -> None:
        self.uses_semaphore = uses_semaphore
        self.limit = limit
        self.jobs: list[tuple[Any, ...]] = []

    def apply_async(self, target: object, args: tuple[Any, ...], **callbacks: Any) -> None:
        self.jobs.append(args)

    def get_bodies(self) -> list[list[str]]:
        """Return what each job is given, in the order in which it was."""
        found = []
        for _, _, request, body, content_type, _ in self.jobs:
            messages = body[0][0] if content_type is None else request["args"][0]
            found.append([text for text, *_ in messages])
        return found


class Fate:
    """What a request told the broker."""

    def __init__(self) -> None:
        self.said = ""

    def ack(self, *args: Any) -> None:
        self.said = "ack"

    def reject(self, logger: Any, errors: Any, requeue: bool) -> None:
        self.said = "back" if requeue else "away"


Fetch = Callable[..., Any]


@pytest.fixture
def task() -> Iterator[Any]:
    with make_app() as app:
        yield get_task(app, SEND_EVENTS)
        state.reset_state()


def build_fetch(task: Any, pool: Pool) -> Fetch:
    request_class = create_request_cls(
        merging.MergingRequest, task, pool, "worker", None, app=task.app
    )

    def fetch(*bodies: str) -> Any:
        """Return a request with a message of each body, which is due."""
        args = [[body, 1000.0, 0] for body in bodies]
        headers = {"id": str(uuid4()), "task": task.name}
        message = SimpleNamespace(
            headers=headers,
            body="",
            payload=([args], {}, {}),
            content_type="application/json",
            content_encoding="utf-8",
            delivery_info={},
            properties={},
        )
        fate = Fate()
        request = request_class(
            message, on_ack=fate.ack, on_reject=fate.reject, app=task.app, task=task
        )
        request.fate = fate
        state.task_reserved(request)
        return request

    return fetch


def test_what_waits_goes_along_and_not_by_itself(task: Any) -> None:
    pool = Pool()
    fetch = build_fetch(task, pool)
    first, second, third = fetch("a"), fetch("b", "c"), fetch("d")

    first.execute_using_pool(pool)
    for follower in (second, third):
        with pytest.raises(TaskRevokedError):
            follower.execute_using_pool(pool)

    assert pool.get_bodies() == [["a", "b", "c", "d"]]
    first.on_success((False, None, 0.1))
    assert [one.fate.said for one in (first, second, third)] == ["ack"] * 3
    assert not state.reserved_requests


@pytest.mark.parametrize(("requeue", "own"), [(True, "back"), (False, "away")])
def test_what_went_along_goes_back_to_the_broker(task: Any, requeue: bool, own: str) -> None:
    pool = Pool()
    fetch = build_fetch(task, pool)
    first, second = fetch("a"), fetch("b")
    first.execute_using_pool(pool)

    first.on_failure(SimpleNamespace(exception=Reject("", requeue=requeue), traceback=""))

    assert [first.fate.said, second.fate.said] == [own, "back"]
    assert not state.reserved_requests


def test_what_went_along_outlives_the_one_that_was_revoked(task: Any) -> None:
    pool = Pool()
    fetch = build_fetch(task, pool)
    first, second = fetch("a"), fetch("b")
    first.execute_using_pool(pool)

    first._announce_revoked("terminated", True, "15", False)

    assert [first.fate.said, second.fate.said] == ["ack", "back"]


@pytest.mark.parametrize("args", [[], [None], [[5]], [[["a", 1.0]]], [[[5, 1.0, 0]]], ["text"]])
def test_message_that_is_not_readable_goes_alone_and_the_worker_goes_on(
    task: Any, args: list[Any]
) -> None:
    pool = Pool()
    fetch = build_fetch(task, pool)
    first, second = fetch("a"), fetch("b")
    strange = fetch("c")
    strange._args = args
    third = fetch("d")

    first.execute_using_pool(pool)
    strange.execute_using_pool(pool)
    for follower in (second, third):
        with pytest.raises(TaskRevokedError):
            follower.execute_using_pool(pool)

    assert pool.get_bodies()[0] == ["a", "b", "d"]
    assert len(pool.jobs) == 2


def test_task_with_other_arguments_goes_alone(task: Any) -> None:
    pool = Pool()
    fetch = build_fetch(task, pool)
    first, strange = fetch("a"), fetch("b")
    strange._kwargs = {"messages": []}

    first.execute_using_pool(pool)
    strange.execute_using_pool(pool)

    assert len(pool.jobs) == 2


def test_revoked_one_takes_nothing_along(task: Any) -> None:
    pool = Pool()
    fetch = build_fetch(task, pool)
    first, second, third = fetch("a"), fetch("b"), fetch("c")
    state.revoked.add(first.id)
    state.revoked.add(third.id)

    with pytest.raises(TaskRevokedError):
        first.execute_using_pool(pool)
    second.execute_using_pool(pool)

    assert pool.get_bodies() == [["b"]]


def test_no_more_go_along_than_a_task_can_do(task: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "MAX_MERGED", 2)
    monkeypatch.setattr(merging, "MAX_BYTES", 10)
    pool = Pool()
    fetch = build_fetch(task, pool)
    requests = [fetch(text) for text in ("a", "b", "c", "d", "e" * 9, "ff")]

    for request in requests:
        if not request.is_taken:
            request.execute_using_pool(pool)

    assert pool.get_bodies() == [["a", "b", "c"], ["d", "e" * 9], ["ff"]]


def test_pool_without_semaphore_has_half_of_its_places_at_work(task: Any) -> None:
    pool = Pool(uses_semaphore=False, limit=2)
    fetch = build_fetch(task, pool)
    first, second = fetch("a"), fetch("b")
    second.is_taken = True  # so that there is one that waits, and nothing to take along
    first.execute_using_pool(pool)
    second.is_taken = False
    third = fetch("c")
    for waiting in (second, third):
        with pytest.raises(TaskRevokedError):
            waiting.execute_using_pool(pool)

    first.on_success((False, None, 0.1))
    assert pool.get_bodies() == [["a"], ["b", "c"]]
    second.on_success((False, None, 0.1))
    assert len(pool.jobs) == 2


def test_pool_of_one_takes_each_as_it_comes(task: Any) -> None:
    pool = Pool(uses_semaphore=False, limit=1)
    fetch = build_fetch(task, pool)
    first = fetch("a")
    first.execute_using_pool(pool)
    second = fetch("b")
    second.execute_using_pool(pool)

    assert pool.get_bodies() == [["a"], ["b"]]


def test_set_that_changes_while_it_is_read_is_read_again(
    task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Changing(set[Any]):
        times = 1

        def __iter__(self) -> Iterator[Any]:
            if self.times:
                self.times -= 1
                raise RuntimeError("Set changed size during iteration")
            return super().__iter__()

    pool = Pool()
    request = build_fetch(task, pool)("a")
    monkeypatch.setattr(state, "reserved_requests", Changing([request]))
    request.execute_using_pool(pool)
    assert pool.get_bodies() == [["a"]]
