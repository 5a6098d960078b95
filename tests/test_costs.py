"""What an event costs, counted and not timed: calls of functions, requests, and memory.

A figure of ``MOST`` is about a tenth above the most that is counted on Python 3.11 to 3.13.
Whoever makes something cheaper lowers it; whoever has to raise it says why. What the endpoint takes
to which browsers post is in tests/rest_framework/test_costs.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.template import Context, Engine
from django.test import RequestFactory

from django_topsort.backends import http
from django_topsort.backends.locmem import outbox
from django_topsort.delivery import flush
from django_topsort.events import Event
from django_topsort.middleware import TopsortMiddleware
from django_topsort.sending.wiring import SenderOptions
from django_topsort.sending.workers import Workers
from django_topsort.testing import FakeApi
from django_topsort.tracking import track_click, track_impression
from tests.browser.sending import FIREFOX
from tests.counting import Calls, count_blocks, count_bytes, count_calls
from tests.sending.engine import PATIENCE, Api, Ears, build_events, build_wiring, wait_until
from tests.shop.models import Product

MOST: dict[str, float] = {
    # Each further one of a page: whether the request is ignored, its fields checked, a copy of the
    # event before with an id, a time and a placement of its own, and a place in the collector.
    "calls: sponsored impression": 36,
    "calls: click": 36,
    # The same, and the entity: the product's id is read from the instance, stripped and checked.
    "calls: organic impression of a model": 50,
    # A tag of a page, less an empty simple_tag with the same arguments: the tag's function, the
    # request in the context, and the impression above.
    "calls: tag": 41,
    # What is called for a request besides its view: a collector is made, and closed empty.
    "calls: middleware, nothing recorded": 23,
    # From the request to the response: the middleware, the request's facts and its first event, 23
    # further ones, the shopper's cookie, and the hand-over to a thread that waits for company.
    "calls: page of 24": 1320,
    # The engine's part of that, from a page of one kind: it is measured and queued, the bounds of
    # the queue are looked at, and whether a thread should wake.
    "calls: hand-over of 24": 74,
    # Of 1,000 in batches of 50, until they are counted as delivered: a fiftieth of what a request
    # takes over a connection that is open, and what it takes to build, write and settle the batch.
    "calls: event posted": 6.6,
    # 20 full ones; what waited for company may make one more.
    "requests: 1,000 impressions": 21,
    # The struct, its placement, the texts of its id and its bid, and its share of the hand-over.
    "bytes: event that waits": 440,
    # With the garbage collection off: a page of 24 is freed when it is over. A cycle through its
    # request would leave 30, one through its events more than 75.
    "blocks: left by a page": 5,
}
PAGE = 24
TAGS = ("topsort_impression", "empty_impression")
LOOP = "{%% load topsort empty %%}{%% for bid in bids %%}{%% %s %%}{%% endfor %%}"

View = Callable[[HttpRequest], HttpResponse]


def check(what: str, counted: float, calls: Calls | None = None) -> None:
    """Fail when there is more of something than ``MOST`` allows, and say where to look."""
    where = "" if calls is None else f" The most frequent of these calls:\n{calls.name_most()}"
    assert counted <= MOST[what], f"{what}: {counted:g} counted, {MOST[what]:g} allowed.{where}"


def build_get() -> HttpRequest:
    """Return the request of a shopper who comes back."""
    headers = {"user-agent": FIREFOX, "cookie": "tsuid=shopper-1"}
    return RequestFactory(headers=headers).get("/shoes/")


def build_view(count: int) -> View:
    """Return a view that shows so many sponsored products."""
    bids = [f"bid-{number}" for number in range(count)]

    def show(request: HttpRequest) -> HttpResponse:
        for position, bid in enumerate(bids, 1):
            track_impression(request, resolved_bid_id=bid, position=position)
        return HttpResponse()

    return show


def show_page(count: int = PAGE) -> Calls:
    """Show a page within the middleware; return the calls from its request to its response."""
    calls, response = count_calls(TopsortMiddleware(build_view(count)), build_get())
    assert response.status_code == 200
    return calls


def find_least(count: Callable[[], Calls], times: int = 5) -> Calls:
    """Return the fewest calls of several times: once is warm, and once no other thread is about."""
    return min((count() for _ in range(times)), key=Calls.total)


@pytest.mark.parametrize(
    ("what", "track", "fields"),
    [
        ("sponsored impression", track_impression, {"resolved_bid_id": "bid-1"}),
        ("organic impression of a model", track_impression, {"product": Product(pk=1)}),
        ("click", track_click, {"resolved_bid_id": "bid-1"}),
    ],
)
def test_event_takes_few_calls(what: str, track: Any, fields: dict[str, Any]) -> None:
    counted: list[Calls] = []

    def show(request: HttpRequest) -> HttpResponse:
        for position in range(1, PAGE + 1):
            calls, event = count_calls(track, request, position=position, **fields)
            assert event is not None
            counted.append(calls)
        return HttpResponse()

    TopsortMiddleware(show)(build_get())

    worst = max(counted[1:], key=Calls.total)
    check(f"calls: {what}", worst.total(), worst)


def test_tag_takes_few_calls_beyond_an_empty_one() -> None:
    libraries = {"topsort": "django_topsort.templatetags.topsort", "empty": "benchmarks.empty_tags"}
    engine = Engine(libraries=libraries)
    ours, empty = (engine.from_string(LOOP % f"{name} resolved_bid_id=bid") for name in TAGS)

    def count(template: Any, count: int) -> Calls:
        bids = [f"bid-{number}" for number in range(count)]

        def show(request: HttpRequest) -> HttpResponse:
            return HttpResponse(template.render(Context({"request": request, "bids": bids})))

        return count_calls(TopsortMiddleware(show), build_get())[0]

    def count_each(template: Any) -> Calls:
        return find_least(lambda: count(template, 2 * PAGE)) - find_least(
            lambda: count(template, PAGE)
        )

    more = count_each(ours) - count_each(empty)

    check("calls: tag", more.total() / PAGE, more)


def test_middleware_takes_few_calls_where_nothing_is_recorded() -> None:
    view = build_view(0)
    alone = find_least(lambda: count_calls(view, build_get())[0])

    more = find_least(lambda: show_page(0)) - alone

    check("calls: middleware, nothing recorded", more.total(), more)


@pytest.fixture
def api(settings: Any, own_backends: None) -> Iterator[FakeApi]:
    """Topsort, with a thread backend that waits for company until it is flushed."""
    with FakeApi(api_key="TSE_tests") as api:
        settings.TOPSORT_API_URL = api.url
        settings.TOPSORT_BACKENDS = {"default": "django_topsort.backends.thread.EventBackend"}
        settings.TOPSORT_FLUSH_INTERVAL = 600.0
        yield api


def test_page_takes_few_calls_its_hand_over_included(api: FakeApi) -> None:
    def count() -> Calls:
        show_page()  # is what the next one's events wait with
        calls = show_page()
        assert flush(PATIENCE)
        return calls

    least = find_least(count)

    check("calls: page of 24", least.total(), least)


def test_1000_impressions_take_few_requests(api: FakeApi) -> None:
    for first in range(0, 1000, PAGE):
        show_page(min(PAGE, 1000 - first))
    assert flush(PATIENCE)

    assert len(api.events) == 1000
    check("requests: 1,000 impressions", len(api.requests))


def test_event_is_posted_with_few_calls(api: FakeApi) -> None:
    backend = http.EventBackend()
    backend.send_events(build_events(1, prefix="warm"))

    calls, _ = count_calls(backend.send_events, build_events(1000))

    assert len(api.events) == 1001
    check("calls: event posted", calls.total() / 1000, calls)


@pytest.fixture
def workers() -> Iterator[Workers]:
    """The engine, whose one thread has something to post that takes long."""
    gate, api, ears = threading.Event(), Api(), Ears()
    api.meet = lambda ids: gate.wait(PATIENCE)
    options = SenderOptions(flush_interval=0.0, connections=1, queue_size=100_000)
    workers = Workers(build_wiring(api, ears, options))
    workers.put(build_events(1, prefix="first"))
    wait_until(lambda: bool(api.in_flight))
    yield workers
    gate.set()
    assert workers.flush(PATIENCE)
    workers.shutdown(PATIENCE)


def make_page() -> Sequence[Event]:
    """Return what a page hands over."""
    TopsortMiddleware(build_view(PAGE))(build_get())
    events = tuple(outbox)
    outbox.clear()
    return events


def count_hand_over(workers: Workers) -> Calls:
    return find_least(lambda: count_calls(workers.put, make_page())[0])


def test_hand_over_takes_few_calls(workers: Workers) -> None:
    calls = count_hand_over(workers)

    check("calls: hand-over of 24", calls.total(), calls)


def test_hand_over_takes_as_many_calls_however_many_events_wait(workers: Workers) -> None:
    workers.put(build_events(10))
    few = count_hand_over(workers)
    workers.put(build_events(10_000, prefix="more"))
    many = count_hand_over(workers)

    assert many.total() == few.total(), (many - few).name_most()


def test_event_of_a_large_page_takes_as_many_calls_as_one_of_a_small_page() -> None:
    few, some, many = (find_least(lambda n=n: show_page(n)) for n in (PAGE, 2 * PAGE, 20 * PAGE))  # type: ignore[misc]

    small, large = some - few, many - few

    assert large.total() == 19 * small.total(), large.name_most()


def test_event_that_waits_takes_little_memory(workers: Workers) -> None:
    workers.put(make_page())

    held = count_bytes(lambda: [workers.put(make_page()) for _ in range(100)])

    check("bytes: event that waits", held / 100 / PAGE)


def test_page_leaves_little_to_the_garbage_collection(settings: Any, own_backends: None) -> None:
    settings.TOPSORT_BACKENDS = {"default": "django_topsort.backends.dummy.EventBackend"}

    def count(page: View) -> int:
        requests = [build_get() for _ in range(40)]

        def show(number: int) -> None:
            for _ in range(number):
                page(requests.pop())

        show(20)  # what is looked up and kept once
        return count_blocks(lambda: show(20))

    page, plain = TopsortMiddleware(build_view(PAGE)), build_view(0)
    # Of the process: a thread that an earlier test has left may come in between.
    least = min(count(page) - count(plain) for _ in range(3))

    check("blocks: left by a page", least / 20)
