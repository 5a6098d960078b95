"""The lane of links: what waits, what is given up, and what a process that ends leaves behind."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from django_topsort.client import TopsortClient
from django_topsort.sending import links
from django_topsort.sending.links import MAX_LINKS, LinkLane
from django_topsort.testing import FakeApi
from django_topsort.transport import LINKS_PATH
from django_topsort.userlinks import UserLink, encode_link
from tests.sending.engine import PATIENCE, wait_until


class Report:
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.then: Callable[[], object] = list

    def delivered(self, link: UserLink) -> None:
        self.heard.append(("delivered", link.guest))
        self.then()

    def rejected(self, link: UserLink, error: Exception) -> None:
        self.heard.append(("rejected", link.guest))

    def dropped(self, some: Any, reason: str) -> None:
        self.heard.append(("dropped", reason, *(link.guest for link in some)))

    def failed(self, error: Exception, count: int) -> None:
        self.heard.append(("failed", count))

    def barred(self, error: Exception) -> None:
        self.heard.append(("barred",))


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as api:
        yield api


@pytest.fixture
def client(api: FakeApi) -> Iterator[TopsortClient]:
    with closing(TopsortClient(api.url, "TSE_tests", (2, 20), LINKS_PATH)) as client:
        yield client


@pytest.fixture
def report() -> Report:
    return Report()


def build_lane(client: TopsortClient, report: Report, **options: Any) -> LinkLane:
    options = {"rand": lambda: 0.0, **options}
    return LinkLane(
        lambda link: client.post_events(encode_link(link)), report, lambda: 20.0, **options
    )


@pytest.fixture
def lane(client: TopsortClient, report: Report) -> Iterator[LinkLane]:
    lane = build_lane(client, report)
    yield lane
    lane.close()


def build_link(guest: str) -> UserLink:
    return UserLink(guest, "customer")


def test_links_go_out_in_their_order_over_one_connection(
    api: FakeApi, lane: LinkLane, report: Report
) -> None:
    for guest in "abc":
        lane.put(build_link(guest))
    assert lane.flush(PATIENCE)

    assert api.links == [{"from": guest, "to": "customer"} for guest in "abc"]
    assert report.heard == [("delivered", guest) for guest in "abc"]
    assert {request.connection for request in api.requests} == {1}


def test_more_links_than_can_wait_are_dropped(api: FakeApi, lane: LinkLane, report: Report) -> None:
    with api.hang() as fault:
        lane.put(build_link("first"))
        fault.wait_for_hit()
        for number in range(MAX_LINKS + 1):
            lane.put(build_link(f"{number}"))
        assert report.heard == [("dropped", "overflow", f"{MAX_LINKS}")]
    assert lane.flush(PATIENCE)

    assert len(api.links) == MAX_LINKS + 1


def test_link_is_given_up_when_it_is_old_and_has_failed_often(
    api: FakeApi, client: TopsortClient, report: Report
) -> None:
    lane = build_lane(client, report, clock=lambda: 1000 * time.monotonic())
    with api.answer(503):
        lane.put(build_link("a"))
        wait_until(lambda: ("dropped", "expired", "a") in report.heard)
    lane.put(build_link("b"))
    assert lane.flush(PATIENCE)
    lane.close()

    assert report.heard.count(("failed", 1)) >= 5
    assert report.heard[-1] == ("delivered", "b")


def test_link_that_has_failed_often_waits_while_it_is_young(
    api: FakeApi, lane: LinkLane, report: Report
) -> None:
    api.answer(503, times=8)
    lane.put(build_link("a"))
    wait_until(lambda: ("delivered", "a") in report.heard)

    assert report.heard == [*[("failed", 1)] * 8, ("delivered", "a")]


def test_lane_waits_for_as_long_as_topsort_asks(
    api: FakeApi, lane: LinkLane, report: Report
) -> None:
    api.answer(429, times=1, headers={"Retry-After": "1"})
    lane.put(build_link("a"))
    assert lane.flush(PATIENCE)

    first, second = api.requests
    assert (second.time - first.time).total_seconds() > 0.9


def test_function_that_raises_is_taken_for_no_answer(report: Report) -> None:
    answers = iter([ZeroDivisionError])

    def post(link: UserLink) -> None:
        for error in answers:
            raise error

    lane = LinkLane(post, report, lambda: 20.0, rand=lambda: 0.0)
    lane.put(build_link("a"))
    assert lane.flush(PATIENCE)
    lane.close()

    assert report.heard == [("failed", 1), ("delivered", "a")]


def test_process_that_ends_posts_what_it_can_and_drops_the_rest(
    api: FakeApi, client: TopsortClient, report: Report
) -> None:
    lane = LinkLane(lambda link: client.post_events(encode_link(link)), report, lambda: 0.2)
    with api.hang() as fault:
        lane.put(build_link("a"))
        fault.wait_for_hit()
        lane.put(build_link("b"))
        lane.close()
    lane.put(build_link("c"))

    assert report.heard == [("dropped", "shutdown", "a", "b"), ("dropped", "shutdown", "c")]
    wait_until(lambda: not has_thread())
    assert len(report.heard) == 2  # the first one's answer comes too late


def has_thread() -> bool:
    return any(thread.name == "django-topsort-links" for thread in threading.enumerate())


def test_thread_without_work_ends_and_another_takes_its_place(
    lane: LinkLane, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "IDLE_SECONDS", 0.01)
    for guest in "ab":
        lane.put(build_link(guest))
        wait_until(lambda: ("delivered", guest) in report.heard)  # noqa: B023 - at once
        wait_until(lambda: not has_thread())

    assert lane.flush(0)


def test_link_waits_where_no_thread_can_be_started(
    api: FakeApi, lane: LinkLane, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        lane.put(build_link("a"))
        assert not lane.flush(0)
    assert lane.flush(PATIENCE)

    assert report.heard == [("delivered", "a")]


def test_log_handler_that_flushes_does_not_wait_for_itself(lane: LinkLane, report: Report) -> None:
    answers: list[bool] = []
    report.then = lambda: answers.append(lane.flush(PATIENCE))

    lane.put(build_link("a"))
    assert lane.flush(PATIENCE)

    assert answers == [False]


def test_forked_child_begins_with_no_links(
    api: FakeApi, client: TopsortClient, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = build_lane(client, report)
    with api.hang() as fault:
        lane.put(build_link("parents"))
        fault.wait_for_hit()
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: 1)
            assert lane.flush(0)
            lane.close()
            assert report.heard == []
            fault.release()
            wait_until(lambda: not has_thread())  # the copy of a thread stops
            assert report.heard == []
            lane.put(build_link("childs"))
            assert lane.flush(PATIENCE)
            lane.close()

    assert report.heard == [("delivered", "childs")]


def test_lane_tells_what_is_refused_and_who_has_no_access(
    api: FakeApi, lane: LinkLane, report: Report
) -> None:
    api.answer(400, times=1)
    api.answer(403, times=1)
    for guest in "abc":
        lane.put(build_link(guest))
        lane.flush(PATIENCE)

    assert report.heard == [
        ("rejected", "a"),
        ("barred",),
        ("dropped", "no_access", "b"),
        ("dropped", "no_access", "c"),
    ]


def test_link_does_not_show_its_ids() -> None:
    assert repr(build_link("guest")) == "<UserLink>"
