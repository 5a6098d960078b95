"""Shops that test with the ``responses`` library see our requests as they see their own."""

from __future__ import annotations

import json
from typing import cast

import pytest
import requests
import responses
from django.test import override_settings
from responses.matchers import header_matcher

from django_topsort.client import TopsortClient
from django_topsort.delivery import flush
from django_topsort.events import Entity, Impression, Page, PageView
from django_topsort.exceptions import InvalidRequest, NoAnswer, RateLimited
from django_topsort.tracking import record

URL = "https://api.topsort.com/v2/events"
HTTP = {"default": "django_topsort.backends.http.EventBackend"}
THREAD = {"default": "django_topsort.backends.thread.EventBackend"}


def build_impression() -> Impression:
    return Impression(opaque_user_id="shopper", entity=Entity(id="p-1", type="product"))


def test_request_is_recorded_with_its_body_and_headers() -> None:
    impression = build_impression()
    with responses.RequestsMock() as mock, override_settings(TOPSORT_BACKENDS=HTTP):
        mock.post(URL, status=204, match=[header_matcher({"Authorization": "Bearer TSE_tests"})])
        record(impression)
        (call,) = mock.calls
    body = json.loads(cast("bytes", call.request.body))
    assert [one["id"] for one in body["impressions"]] == [impression.id]
    assert cast("requests.Response", call.response).status_code == 204


def test_each_request_keeps_its_own_body() -> None:
    with responses.RequestsMock() as mock:
        mock.post(URL, status=204)
        client = TopsortClient("https://api.topsort.com", "TSE_key")
        client.post_events(b'{"clicks":[]}')
        client.post_events(b'{"impressions":[]}')
        assert [call.request.body for call in mock.calls] == [
            b'{"clicks":[]}',
            b'{"impressions":[]}',
        ]


def test_thread_backend_sends_through_it() -> None:
    page = Page(type="home", page_id="/")
    with responses.RequestsMock() as mock, override_settings(TOPSORT_BACKENDS=THREAD):
        mock.post(URL, status=204)
        record(PageView(opaque_user_id="shopper", page=page))
        assert flush(10)
        assert len(mock.calls) == 1


def test_errors_are_told_apart() -> None:
    client = TopsortClient("https://api.topsort.com", "TSE_key")
    with responses.RequestsMock() as mock:
        mock.post(URL, status=400, json={"errCode": "bad_request"})
        with pytest.raises(InvalidRequest) as refused:
            client.post_events(b"{}")
    assert refused.value.err_code == "bad_request"
    with responses.RequestsMock() as mock:
        mock.post(URL, status=429, headers={"Retry-After": "7"}, json={"errCode": "rate_limited"})
        with pytest.raises(RateLimited) as limited:
            client.post_events(b"{}")
    assert limited.value.retry_after == 7
    with responses.RequestsMock(), pytest.raises(NoAnswer):
        client.post_events(b"{}")
