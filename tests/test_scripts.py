"""The element that loads the script: what it says, and what it never does."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.http import HttpRequest
from django.test import RequestFactory, override_settings
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import SafeString

from django_topsort.backends.locmem import outbox
from django_topsort.exceptions import InvalidEvent, TopsortConfigurationError
from django_topsort.facts import get_collector
from django_topsort.scripts import build_script
from tests.shop.models import Product

urlpatterns: list[object] = []  # the package's URLs are not included

BROWSER = {"user-agent": "Mozilla/5.0 Firefox/140.0"}
OURS = "/static/django_topsort/topsort.js"
PLAIN = {
    "src": OURS,
    "defer": None,
    "data-ts-url": "/topsort/v2/events",
    "data-ts-clicks": "/topsort/click/",
}


@pytest.fixture(autouse=True)
def _static_url() -> Iterator[None]:
    with override_settings(STATIC_URL="/static/"):
        yield


@pytest.fixture
def request_() -> HttpRequest:
    return RequestFactory().get("/shoes/", headers=BROWSER)


class Scripts(HTMLParser):
    """Reads the script elements of a page as a browser does."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[dict[str, str | None], str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag == "script"
        self.found.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        attributes, text = self.found[-1]
        self.found[-1] = (attributes, text + data)


def read(page: str) -> dict[str, Any]:
    """Return the attributes of the one script element, which has nothing in it."""
    ((attributes, text),) = Scripts(page).found
    assert text == ""
    return attributes


def read_page(page: str) -> Any:
    return json.loads(read(page)["data-ts-page"])


def test_script_is_our_static_file(request_: HttpRequest) -> None:
    script = build_script(request_)

    assert read(script) == PLAIN
    assert isinstance(script, SafeString)


def test_script_alone_needs_no_shopper(request_: HttpRequest) -> None:
    build_script(request_, "category", "shoes")

    assert "shopper" not in get_collector(request_).found
    assert not hasattr(request_, "_cache_update_cache")


@override_settings(TOPSORT_API_KEY="TSE_the-key")
def test_key_is_in_no_script(request_: HttpRequest) -> None:
    foreign = build_script(request_, provider="analytics.js", src="ts.js")

    assert "TSE_" not in build_script(request_, "home") + foreign


@pytest.mark.parametrize(
    ("arguments", "page"),
    [
        (["home"], {"type": "home", "pageId": "/shoes/"}),
        (["category", 7, "x"], {"type": "category", "pageId": "7", "value": "x"}),
        (["PDP", "p-1", Product(pk=7)], {"type": "PDP", "pageId": "p-1", "value": "7"}),
        (["cart", "c", ["1", 2]], {"type": "cart", "pageId": "c", "value": ["1", "2"]}),
        (["search", "s", "<'\"&"], {"type": "search", "pageId": "s", "value": "<'\"&"}),
    ],
)
def test_browser_is_told_the_page(
    request_: HttpRequest, arguments: list[Any], page: dict[str, Any]
) -> None:
    assert read_page(build_script(request_, *arguments)) == page
    assert not outbox


@pytest.mark.parametrize("text", ["</script>", "\" onload='x'", "\u2028\r\n\0", "👟" * 1024])
def test_hostile_page_arrives_as_it_is(request_: HttpRequest, text: str) -> None:
    script = build_script(request_, "search", "results", text)

    assert read_page(script) == {"type": "search", "pageId": "results", "value": text}


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [(["basket"], "pageviews"), ([None, "id"], "script"), (["", None, "value"], "script")],
)
def test_wrong_page_costs_the_page_view_alone(
    request_: HttpRequest, caplog: pytest.LogCaptureFixture, arguments: list[Any], kind: str
) -> None:
    with override_settings(TOPSORT_STRICT=True), pytest.raises(InvalidEvent):
        build_script(request_, *arguments)

    with caplog.at_level(logging.ERROR):
        assert read(build_script(request_, *arguments)) == PLAIN
    assert f"kind={kind}" in caplog.text


def test_script_says_what_counts_as_seen_where_it_is_said_otherwise(
    request_: HttpRequest,
) -> None:
    with override_settings(TOPSORT_VIEWABLE_SHARE=1, TOPSORT_VIEWABLE_SECONDS=2.5):
        script = read(build_script(request_))

    assert (script["data-ts-share"], script["data-ts-seconds"]) == ("1", "2.5")


@override_settings(TOPSORT_VIEWABLE_SHARE="half", TOPSORT_VIEWABLE_SECONDS=1)
def test_script_does_not_say_what_is_no_number_or_the_default(request_: HttpRequest) -> None:
    assert read(build_script(request_)) == PLAIN


@pytest.mark.parametrize(
    ("src", "address"),
    [
        ("https://cdn.example/t.js?a=1&b=2", "https://cdn.example/t.js?a=1&b=2"),
        ("/js/t.js", "/js/t.js"),
        ("shop/t.js", "/static/shop/t.js"),
        ("", OURS),
    ],
)
def test_script_is_where_src_says(request_: HttpRequest, src: str, address: str) -> None:
    assert read(build_script(request_, src=src)) == {**PLAIN, "src": address}


@override_settings(STATIC_URL=None)
def test_without_a_static_url_it_is_said_what_to_set(
    request_: HttpRequest, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        override_settings(TOPSORT_STRICT=True),
        pytest.raises(TopsortConfigurationError, match="STATIC_URL"),
    ):
        build_script(request_)

    assert build_script(request_) == ""
    assert "kind=script" in caplog.text


def test_hashed_name_of_the_file_is_used(request_: HttpRequest, tmp_path: Path) -> None:
    storages = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
    }
    with override_settings(
        INSTALLED_APPS=[*settings.INSTALLED_APPS, "django.contrib.staticfiles"],
        STATIC_ROOT=tmp_path,
        STORAGES=storages,
    ):
        call_command("collectstatic", interactive=False, verbosity=0)
        script = read(build_script(request_))

        assert re.fullmatch(r"/static/django_topsort/topsort\.[0-9a-f]{12}\.js", script["src"])
        assert (tmp_path / script["src"].removeprefix("/static/")).is_file()
        # What is in no manifest is said, and breaks no page.
        assert build_script(request_, src="shop/missing.js") == ""


@pytest.mark.urls(__name__)
def test_without_the_packages_urls_it_is_said_what_to_add(
    request_: HttpRequest, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        override_settings(TOPSORT_STRICT=True),
        pytest.raises(TopsortConfigurationError, match=r'include\("django_topsort.urls"\)'),
    ):
        build_script(request_)

    assert build_script(request_) == ""
    assert "topsort_script" in caplog.text


@override_settings(TOPSORT_CONSENT=lambda request: False)
def test_without_consent_there_is_no_script(request_: HttpRequest) -> None:
    assert build_script(request_, "home") == ""


def test_crawler_gets_no_script() -> None:
    request = RequestFactory().get("/", headers={"user-agent": "bingbot/2.0"})

    assert build_script(request, "home") == ""


def test_nonce_that_is_given_goes_first(request_: HttpRequest) -> None:
    request_.csp_nonce = "theirs"  # type: ignore[attr-defined]

    assert read(build_script(request_, nonce="'\"n")) == {**PLAIN, "nonce": "'\"n"}


@pytest.mark.parametrize("nonce", [None, ""])
def test_nonce_of_django_csp(request_: HttpRequest, nonce: str | None) -> None:
    request_.csp_nonce = SimpleLazyObject(lambda: "lazy")  # type: ignore[attr-defined]

    assert read(build_script(request_, nonce=nonce)) == {**PLAIN, "nonce": "lazy"}


class LazyNonce(SimpleLazyObject):  # type: ignore[type-arg]
    """False until somebody asks for its text, as in Django 6."""

    def __bool__(self) -> bool:
        return False


def test_nonce_of_djangos_own_middleware(
    request_: HttpRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    csp: Any = ModuleType("django.middleware.csp")
    csp.get_nonce = lambda request: LazyNonce(lambda: f"for {request.path}")
    monkeypatch.setitem(sys.modules, "django.middleware.csp", csp)

    assert not csp.get_nonce(request_)
    assert read(build_script(request_))["nonce"] == "for /shoes/"


def test_without_such_a_middleware_there_is_no_nonce(
    request_: HttpRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "django.middleware.csp", raising=False)

    assert "nonce" not in read(build_script(request_))


def test_analytics_js_is_told_where_to_post(request_: HttpRequest) -> None:
    page = build_script(request_, provider="analytics.js", src="topsort/ts.js", nonce="n")

    (inline, text), (script, rest) = Scripts(page).found
    assert inline == {"nonce": "n"}
    assert text.startswith(
        'window.TS = {"url": "http://testserver/topsort", "token": "unused", "cookieName": "tsuid"'
    )
    assert script == {"src": "/static/topsort/ts.js", "defer": None, "nonce": "n"}
    assert rest == ""


@override_settings(TOPSORT_COOKIE_NAME="</script>&'\u2028")
def test_nothing_ends_the_script_of_analytics_js(request_: HttpRequest) -> None:
    page = build_script(request_, provider="analytics.js", src="/ts.js")

    (_, text), _ = Scripts(page).found
    assert "<" not in text
    assert '"\\u003C/script\\u003E\\u0026\'\\u2028"' in text


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("provider", {"provider": "banners.js", "src": "/b.js"}),
        ("src", {"provider": "analytics.js"}),
        ("page_type", {"provider": "analytics.js", "src": "/ts.js", "page_type": "home"}),
    ],
)
def test_wrong_provider_is_refused(
    request_: HttpRequest, field: str, arguments: dict[str, Any]
) -> None:
    with override_settings(TOPSORT_STRICT=True), pytest.raises(InvalidEvent) as caught:
        build_script(request_, **arguments)

    assert caught.value.field == field
    assert build_script(request_, **arguments) == ""
