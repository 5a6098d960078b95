"""How many requests are let through, and what is said to the others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache
from django.http import HttpRequest
from django.test import Client, override_settings

from django_topsort.backends.locmem import outbox
from tests.browser.sending import FIREFOX, URL, build_impression, encode

BODY = encode(impressions=[build_impression()])
SHOPPER_RATE = "TOPSORT_EVENTS_THROTTLE_RATE"
ADDRESS_RATE = "TOPSORT_EVENTS_ADDRESS_THROTTLE_RATE"


class DeadCache(LocMemCache):
    def add(self, *args: Any, **kwargs: Any) -> bool:
        raise ConnectionError("no cache")


class SilentCache(LocMemCache):
    def add(self, *args: Any, **kwargs: Any) -> bool:
        return False

    def incr(self, *args: Any, **kwargs: Any) -> Any:
        return None


class ForgetfulCache(LocMemCache):
    def add(self, *args: Any, **kwargs: Any) -> bool:
        return False


def post(shopper: str = "", **meta: Any) -> int:
    client = Client(headers={"user-agent": FIREFOX, "cookie": f"tsuid={shopper}"}, **meta)
    return client.post(URL, BODY, content_type="application/json").status_code


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1_800_000_015.5]  # a quarter of a minute and a half second into a minute
    monkeypatch.setattr("time.time", lambda: now[0])
    return now


@override_settings(**{SHOPPER_RATE: "2/minute"})
def test_shopper_may_make_as_many_requests_as_the_rate_says(clock: list[float]) -> None:
    assert [post("shopper-1") for _ in range(3)] == [204, 204, 429]
    assert post("shopper-2") == 204
    client = Client(headers={"user-agent": FIREFOX, "cookie": "tsuid=shopper-1"})
    response: Any = client.post(URL, BODY, content_type="application/json")
    content = json.loads(response.content)
    assert response["Content-Type"] == "application/json"
    assert response["Retry-After"] == "45"
    assert content["errCode"] == "rate_limited"

    clock[0] += 45
    assert post("shopper-1") == 204


@override_settings(**{SHOPPER_RATE: "1/day"})
def test_client_without_an_id_is_not_counted_as_a_shopper() -> None:
    assert [post() for _ in range(3)] == [204] * 3
    assert len({event.opaque_user_id for event in outbox}) == 3


def get_customer(request: HttpRequest) -> str:
    return "customer-7"


@override_settings(**{SHOPPER_RATE: "1/day", "TOPSORT_USER_ID": get_customer})
def test_customer_is_counted_by_what_the_hook_says() -> None:
    assert [post("a"), post("b")] == [204, 429]


@override_settings(**{SHOPPER_RATE: "1/day"}, TOPSORT_USER_ID=lambda r: r.META.get("HTTP_X_ME"))
def test_cookie_that_claims_a_customers_id_uses_up_no_request_of_his() -> None:
    assert [post("42"), post("42")] == [204, 429]
    assert post(HTTP_X_ME="42") == 204


@override_settings(**{SHOPPER_RATE: "1/day", "TOPSORT_CONSENT": lambda request: False})
def test_shopper_is_not_counted_without_consent() -> None:
    assert [post("a"), post("a")] == [204, 204]


@override_settings(**{ADDRESS_RATE: "2/day"})
def test_address_may_make_as_many_requests_as_the_rate_says() -> None:
    assert [post(f"shopper-{number}") for number in range(3)] == [204, 204, 429]
    assert post(REMOTE_ADDR="192.0.2.7") == 204


@override_settings(**{ADDRESS_RATE: "1/day"}, REST_FRAMEWORK={"NUM_PROXIES": 1})
def test_address_behind_a_proxy_is_the_one_that_the_proxy_says() -> None:
    assert post(HTTP_X_FORWARDED_FOR="192.0.2.1") == 204
    assert post(HTTP_X_FORWARDED_FOR="192.0.2.2") == 204
    assert post(HTTP_X_FORWARDED_FOR="10.0.0.1, 192.0.2.2") == 429


@pytest.mark.parametrize("rate", [None, "", "many", "0/minute", 7, ["1/day"]])
def test_rate_that_is_none_lets_everything_through(rate: Any) -> None:
    with override_settings(**{SHOPPER_RATE: rate, ADDRESS_RATE: rate}):
        assert [post("shopper-1") for _ in range(3)] == [204] * 3


@pytest.mark.parametrize("name", ["DeadCache", "SilentCache", "ForgetfulCache"])
def test_cache_that_fails_lets_everything_through(name: str) -> None:
    backend = {"BACKEND": f"tests.rest_framework.test_throttling.{name}"}
    rates = {SHOPPER_RATE: "1/day", ADDRESS_RATE: "1/day"}
    with override_settings(CACHES={"default": backend}, **rates):
        assert [post("shopper-1") for _ in range(3)] == [204] * 3


@override_settings(**{SHOPPER_RATE: "10/day"})
def test_names_in_the_cache_are_short_and_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[str] = []
    add = cache.add

    def note(key: str, *args: Any, **kwargs: Any) -> bool:
        keys.append(key)
        return bool(add(key, *args, **kwargs))

    monkeypatch.setattr(cache, "add", note)
    post("shopper-1" * 7)

    assert len(keys) == 2
    assert all(len(key) < 200 and "shopper" not in key and " " not in key for key in keys)
