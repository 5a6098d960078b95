"""What Topsort may answer, and what a shop makes of it: the faults 1 to 20."""

from __future__ import annotations

import gzip
import json
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from django_topsort.testing import FakeApi, Fault, ReceivedRequest
from tests.faults.store import KEY, PATIENCE, QUICKLY, Store, open_store

pytestmark = pytest.mark.faults

REFUSAL = b'{"errCode":"bad_request","message":"a field is missing"}'


def get_gaps(api: FakeApi) -> list[float]:
    """Return the seconds between one request and the next."""
    times = [request.time.timestamp() for request in api.requests]
    return [later - earlier for earlier, later in pairwise(times)]


def has_kind(kind: str) -> Callable[[ReceivedRequest], bool]:
    return lambda request: f'"{kind}":[{{'.encode() in request.body


# Events that are refused


@pytest.mark.parametrize("position", [0, 24, 49])
def test_fault_01_one_poison_costs_itself_and_few_requests(
    store: Store, api: FakeApi, position: int
) -> None:
    api.poison(f'"a-{position}"', err_code="missing_product_id")
    store.record("impressions", 50, "a")
    books = store.close_books(api)

    assert books["rejected"] == [["impressions", f"a-{position}", 400, "missing_product_id"]]
    assert len(api.impressions) == 49
    assert len(api.requests) <= 14


@pytest.mark.parametrize("count", [1, 2, 5, 25, 50])
def test_fault_02_each_of_several_poisons_is_found(store: Store, api: FakeApi, count: int) -> None:
    poisons = {f"a-{number * 50 // count}" for number in range(count)}
    api.poison(lambda event: event["id"] in poisons, status=422)
    store.record("impressions", 50, "a")
    store.record("purchases", 2, "o")
    books = store.close_books(api)

    assert {one for _, one, *_ in books["rejected"]} == poisons
    assert len(books["rejected"]) == count
    assert len(api.requests) <= 3 * 64


def test_fault_02_splitting_ends_where_the_key_is_refused(store: Store, api: FakeApi) -> None:
    api.answer(400, REFUSAL, times=1)
    revoked = api.answer(401)
    store.record("impressions", 50, "a")
    revoked.wait_for_hit(timeout=PATIENCE)
    store.read_books()
    revoked.wait_for_hit(2, timeout=PATIENCE)

    assert max(get_gaps(api)) > QUICKLY["CONFIGURATION_PAUSE"] * 0.9
    revoked.release()
    store.close_books_without_loss(api)


def test_fault_03_refusal_of_everything_costs_few_requests_and_no_purchase(
    store: Store, api: FakeApi
) -> None:
    everything = api.answer(400, REFUSAL)
    for number in range(6):
        store.record_all_kinds(50, f"{number}")
    store.wait_for_line("EverythingRefused")
    time.sleep(1.0)  # in which it goes on asking, with one small request after another
    books = store.read_books()
    assert everything.hits < 8 * 20 + 60
    assert books["counts"]["purchases"]["waiting"] == 300
    everything.release()
    books = store.close_books(api)

    assert len(api.purchases) == 300
    assert "purchases" not in {kind for kind, *_ in books["rejected"]}
    (line,) = store.find_lines("EverythingRefused")
    assert "status=400 errCode=bad_request" in line


# Settings that are wrong


@pytest.mark.parametrize("status", [401, 403])
def test_fault_04_revoked_key_keeps_the_events_until_it_is_right(
    store: Store, api: FakeApi, status: int
) -> None:
    store.record_all_kinds(10, "before")
    store.wait()
    body = json.dumps({"errCode": "invalid_api_key", "message": f"{KEY} is revoked"})
    revoked = api.answer(status, body.encode())
    for number in range(5):
        store.record_all_kinds(50, f"{number}")
    revoked.wait_for_hit(9 + 3, timeout=PATIENCE)  # 8 may be on their way when the first fails
    books = store.read_books()

    assert books["counts"]["purchases"]["waiting"] == 250
    assert len(store.find_lines("error=AuthenticationFailed")) == 1
    assert KEY not in store.site.read_log()
    revoked.release()
    store.close_books_without_loss(api)


def test_fault_04_revoked_key_is_not_tried_more_than_once_a_minute(
    store: Store, api: FakeApi
) -> None:
    store.renew(api.url)
    revoked = api.answer(401)
    store.record("purchases", 1, "first")
    store.wait_for_line("error=AuthenticationFailed")
    store.record_all_kinds(50, "more")
    time.sleep(2)

    assert revoked.hits == 1
    assert store.read_books()["counts"]["purchases"]["waiting"] == 51


@pytest.mark.parametrize("status", [404, 405, 410])
def test_fault_05_wrong_url_is_a_setting_and_no_poison(
    store: Store, api: FakeApi, status: int
) -> None:
    wrong = api.answer(status, b"<html>Not found</html>")
    store.record_all_kinds(20, "a")
    wrong.wait_for_hit(3, timeout=PATIENCE)

    assert {len(request.body) > 1000 for request in api.requests} == {True}  # none was split
    assert len(store.find_lines("error=EndpointNotFound")) == 1
    wrong.release()
    store.close_books_without_loss(api)


def test_fault_06_body_that_is_too_large_is_halved(store: Store, api: FakeApi) -> None:
    api.max_body_size = 6000
    store.record_all_kinds(50, "a")
    store.record("purchases", 1, "huge", items=300)
    store.wait(("impressions", "clicks", "pageviews"))
    store.wait_for_line("error=PayloadTooLarge")
    store.record("clicks", 1, "later")  # the proof that others are still taken
    books = store.close_books(api)

    assert books["rejected"] == [["purchases", "huge-0", 413, "bad_request"]]
    assert len(api.events) == 201


@pytest.mark.parametrize("status", [415, 422])
def test_fault_07_415_and_422_are_refusals_as_400_is(
    store: Store, api: FakeApi, status: int
) -> None:
    api.poison('"a-3"', status=status)
    store.record("clicks", 20, "a")
    books = store.close_books(api)

    assert books["rejected"] == [["clicks", "a-3", status, "bad_request"]]


# Times at which it cannot


def test_fault_08_what_may_pass_later_is_tried_again(store: Store, api: FakeApi) -> None:
    statuses = [408, 425, 500, 502, 503, 504, 507, 520, 526, 530]
    for status in statuses:
        api.answer(status, b"<html>upstream</html>", times=1)
    for number in range(3):
        store.record_all_kinds(5, f"{number}")
    store.close_books_without_loss(api)

    assert len(api.requests) > len(statuses)


def test_fault_09_429_without_a_time_counts_as_a_failure(store: Store, api: FakeApi) -> None:
    store.renew(api.url, pauses={"SHORTEST_PAUSE": 1.0, "LONGEST_BACKOFF": 0.1})
    limited = api.answer(429)
    for number in range(5):
        store.record_all_kinds(50, f"{number}")
    limited.wait_for_hit(5 + 8 + 1, timeout=PATIENCE)

    # A pause is jittered down to its half; nothing else makes the API wait for as long.
    assert max(get_gaps(api)) >= 0.45
    limited.release()
    store.close_books_without_loss(api)


@pytest.mark.parametrize("status", [429, 503])
def test_fault_10_retry_after_is_kept(store: Store, api: FakeApi, status: int) -> None:
    api.answer(status, headers={"Retry-After": "2"}, times=1)
    store.record("purchases", 1, "a")
    store.wait_for_line("request failed")
    store.record("clicks", 50, "b")  # it would go out at once, and waits as well
    store.close_books_without_loss(api)

    first, *later = [request.time.timestamp() for request in api.requests]
    assert later
    assert all(2.0 <= one - first < 2.0 + PATIENCE / 2 for one in later)


@pytest.mark.parametrize("value", ["3600", "1000000000"])
def test_fault_11_long_retry_after_does_not_hold_up_the_exit(
    api: FakeApi, tmp_path: Path, value: str
) -> None:
    limited = api.answer(429, headers={"Retry-After": value})
    with open_store(tmp_path / "log", TOPSORT_API_URL=api.url) as store:
        store.record("purchases", 2, "a")
        limited.wait_for_hit(timeout=PATIENCE)
        _, took = store.site.stop()

    assert took < 5 + 5
    assert limited.hits == 1
    (line,) = store.find_lines("dropped kind=purchases")
    assert "reason=shutdown count=2 ids=a-0,a-1" in line


RETRY_AFTER: list[list[tuple[str, str]]] = [
    [("Retry-After", "Mon, 01 Jan 2001 00:00:00 GMT")],
    [("Retry-After", "-5")],
    [("Retry-After", "nan")],
    [("Retry-After", "inf")],
    [("Retry-After", "")],
    [("Retry-After", "x" * 10_240)],
    [("Retry-After", "1"), ("Retry-After", "2")],
    [("Retry-After", "soon"), ("Retry-After", "1")],
]


def test_fault_12_retry_after_may_be_anything(store: Store, api: FakeApi) -> None:
    for headers in RETRY_AFTER:
        api.answer(503, headers=headers, times=1)
    store.record("purchases", 3, "a")
    store.close_books_without_loss(api)

    assert [request.status for request in api.requests] == [*[503] * len(RETRY_AFTER), 204]
    assert max(get_gaps(api)) < 20


def test_fault_13_page_with_a_200_is_no_success(store: Store, api: FakeApi) -> None:
    html = {"Content-Type": "text/html"}
    api.answer(200, b"<html>Please log in</html>", headers=html, times=1)
    api.answer(200, REFUSAL, times=1)
    api.answer(200, b"[{}," + REFUSAL + b"]", times=1)
    store.record("purchases", 3, "a")
    store.close_books_without_loss(api)

    assert [request.status for request in api.requests] == [200, 200, 200, 204]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"status":"ok"}'])
def test_fault_13_other_2xx_without_an_error_is_a_success(
    store: Store, api: FakeApi, body: bytes
) -> None:
    api.answer(200, body)
    store.record("clicks", 2, "a")
    books = store.wait()

    assert books["delivered"] == [["clicks", "a-0"], ["clicks", "a-1"]]
    assert len(api.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_fault_14_redirect_is_not_followed(store: Store, api: FakeApi, status: int) -> None:
    with FakeApi() as elsewhere:
        moved = api.redirect(f"{elsewhere.url}/v2/events", status)
        store.record("purchases", 1, "a")
        moved.wait_for_hit(2, timeout=PATIENCE)
        assert elsewhere.requests == []
    assert max(get_gaps(api)) > QUICKLY["CONFIGURATION_PAUSE"] * 0.9
    assert len(store.find_lines("error=RedirectRefused")) == 1
    moved.release()
    store.close_books_without_loss(api)


@pytest.mark.parametrize("end", ["close", "reset", "hang"])
def test_fault_15_lost_answer_is_followed_by_the_same_events(
    store: Store, api: FakeApi, end: Any
) -> None:
    api.lose_answers(2, end=end)
    api.answer(502, times=1)
    store.record_all_kinds(10, "a")
    store.close_books_without_loss(api)

    assert api.repeated
    assert len(api.events) == 40


ENDLESS: dict[str, Fault] = {
    "huge": Fault(status=200, padding=200 * 1024 * 1024),
    "bomb": Fault(
        status=200,
        body=gzip.compress(b" " * 50 * 1024 * 1024),
        headers={"Content-Encoding": "gzip", "Content-Type": "application/json"},
    ),
    "endless": Fault(status=200, padding=1024 * 1024, drip=0.05),
    "headless": Fault(status=503, headers=[("X-Filling", "x" * 60_000)] * 50),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_fault_16_endless_answer_is_not_read(store: Store, api: FakeApi, name: str) -> None:
    store.record("clicks", 1, "warm")
    before = store.wait()["peak_kib"]
    api.fault(ENDLESS[name], times=1)
    store.record_all_kinds(10, "a")
    books = store.close_books_without_loss(api)

    assert books["peak_kib"] - before < 20 * 1024


def test_fault_17_refusal_of_one_kind_does_not_hold_up_purchases(
    store: Store, api: FakeApi
) -> None:
    api.answer(400, REFUSAL, matches=has_kind("clicks"))
    store.record_all_kinds(5, "a")
    books = store.close_books(api)

    assert sorted(one for _, one, *_ in books["rejected"]) == [f"a-clicks-{n}" for n in range(5)]
    kinds = [[kind for kind in ("clicks", "purchases") if has_kind(kind)(r)] for r in api.requests]
    first = kinds.index(["purchases"])
    assert ["clicks"] not in kinds[:first]


def test_fault_18_slow_api_gets_everything_in_its_order(store: Store, api: FakeApi) -> None:
    store.renew(api.url, TOPSORT_CONNECTIONS=1, TOPSORT_TIMEOUT=[1.0, 20.0])
    slow = api.delay(0.3)
    store.record("impressions", 50, "first")
    slow.wait_for_hit(timeout=PATIENCE)
    before = store.read_books()["peak_kib"]
    for number in range(10):
        store.record("impressions", 100, f"{number}")
        store.record("purchases", 1, f"o{number}")
    books = store.close_books_without_loss(api)

    recorded = [one for kind, one in store.recorded if kind == "impressions"]
    assert [event["id"] for event in api.impressions] == recorded
    assert [event["id"] for event in api.purchases] == [f"o{n}-0" for n in range(10)]
    assert books["peak_kib"] - before < 20 * 1024


def test_fault_19_flapping_api_gets_everything(store: Store, api: FakeApi) -> None:
    chance = random.Random(19)
    api.answer(503, matches=lambda request: chance.random() < 0.5)
    for number in range(40):
        store.record("purchases", 5, f"o{number}")
        store.record("impressions", 40, f"i{number}")
    store.close_books_without_loss(api)

    assert len(api.purchases) == 200


def test_fault_20_return_of_the_api_is_met_by_one_small_request_of_each_process(
    api: FakeApi, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        stores = [
            stack.enter_context(open_store(tmp_path / f"{number}", TOPSORT_API_URL=api.url))
            for number in range(3)
        ]
        away = api.answer(503)
        for number, store in enumerate(stores):
            for page in range(8):
                store.record("impressions", 50, f"{number}.{page}")
                store.record("purchases", 5, f"{number}.o{page}")
                time.sleep(0.2)  # longer than the interval, so that a request is made for each
        time.sleep(2)
        # Five failures stop it, while eight may be on their way; then it asks every second or two.
        assert away.hits < 3 * (5 + 8 + 8)
        for store in stores:
            assert store.read_books()["counts"]["purchases"]["waiting"] == 40
        away.release()
        for store in stores:
            assert store.wait()["dropped"] == []
    requests = [json.loads(request.body) for request in api.requests if request.status == 204]
    for number in range(3):
        first = next(
            request
            for request in requests
            if all(e["id"].startswith(f"{number}.") for some in request.values() for e in some)
        )
        assert max(map(len, first.values())) <= 10
    assert len(api.purchases) == 120
    assert len(api.impressions) == 1200


# Events that come twice


def test_fault_76_event_that_comes_twice_is_sent_once(store: Store, api: FakeApi) -> None:
    with api.hang() as hanging:  # what is recorded meanwhile shares a request
        store.renew(api.url, TOPSORT_CONNECTIONS=1, TOPSORT_TIMEOUT=[1.0, 60.0])
        store.record("clicks", 1, "first")
        hanging.wait_for_hit(timeout=PATIENCE)
        for _ in range(3):
            store.record("purchases", 2, "o")
        store.record("clicks", 2, "o")
    books = store.close_books(api)

    assert sorted(books["dropped"]) == sorted(
        [["purchases", f"o-{number}", "duplicate"] for number in (0, 1)] * 2
    )
    assert api.repeated == []
    assert store.find_lines("ERROR") == store.find_lines("dropped kind=purchases") == []
    store.record("purchases", 1, "o")
    books = store.wait()
    assert books["counts"]["purchases"]["delivered"] == 3
    assert (api.repeated, len(api.purchases)) == (["o-0"], 2)
