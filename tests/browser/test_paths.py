"""Paths as browsers tell them."""

from __future__ import annotations

import pytest

from django_topsort.browser.paths import clean_path, get_referer_path, is_clean
from tests.browser.sending import build_request


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("/shoes/", "/shoes/"),
        ("/shoes/?q=mail@shop.example", "/shoes/"),
        ("/shoes/#top", "/shoes/"),
        ("/shoes/?q=http://other.example/", "/shoes/"),
        ("https://shop.example/shoes/?q=1#top", "/shoes/"),
        ("https://shop.example", "/"),
        ("https://shop.example?q=1", "/"),
        ("?q=1", "/"),
        ("#/shoes?q=1", "#/shoes"),
        ("#/", "#/"),
        ("#top", "/"),
        ("//shoes", "//shoes"),
        ("Home/carousel", "Home/carousel"),
    ],
)
def test_path_is_without_address_and_query(given: str, wanted: str) -> None:
    assert clean_path(given) == wanted
    assert clean_path(wanted) == wanted
    assert given == wanted or not is_clean(given)


@pytest.mark.parametrize(
    ("referer", "wanted"),
    [
        ("http://testserver/shoes/?q=1", "/shoes/"),
        ("https://TESTSERVER", "/"),
        ("http://testserver/gr%C3%B6%C3%9Fe/", "/gr%C3%B6%C3%9Fe/"),
        ("http://testserver/größe/\ud800", "/gr%C3%B6%C3%9Fe/%3F"),
        ("http://testserver/" + "x" * 3000, "/" + "x" * 2047),
        ("http://other.example/shoes/", None),
        ("http://[testserver/", None),
        ("", None),
    ],
)
def test_referer_says_the_path_of_a_page_of_this_host(referer: str, wanted: str | None) -> None:
    assert get_referer_path(build_request(referer=referer)) == wanted


def test_referer_of_a_host_that_is_not_ours_says_nothing() -> None:
    request = build_request(referer="http://evil.example/", host="evil.example")

    assert get_referer_path(request) is None
