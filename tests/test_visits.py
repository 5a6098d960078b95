"""What a request tells: the path, the device, and whether a person looks at the answer."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import RequestFactory, override_settings

from django_topsort.exceptions import TopsortConfigurationError
from django_topsort.visits import (
    MAX_USER_AGENT,
    get_device_type,
    get_ignore_reason,
    get_path,
    join_path,
)

AGENTS = Path(__file__).parent / "agents"


def read_agents(name: str) -> list[str]:
    return (AGENTS / f"{name}.txt").read_text(encoding="utf-8").splitlines()


def build_request(agent: str = "", path: str = "/", **headers: str) -> HttpRequest:
    if agent:
        headers["HTTP_USER_AGENT"] = agent
    return RequestFactory().get(path, **headers)  # type: ignore[arg-type]


# The path


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/", "/"),
        ("/shoes/?page=2&email=a@example.com", "/shoes/"),
        ("/shoes?q=/x", "/shoes"),
        ("/gr%C3%B6%C3%9Fe/", "/gr%C3%B6%C3%9Fe/"),
        ("/a%20b", "/a%20b"),
        ("/a%3Fb", "/a%3Fb"),
        ("/a;b=1", "/a;b=1"),
    ],
)
def test_path_is_what_the_browser_calls_the_pathname(url: str, path: str) -> None:
    assert get_path(build_request(path=url)) == path


@pytest.mark.parametrize(
    ("path", "component", "joined"),
    [
        ("/shoes/", "list", "/shoes/list"),
        ("/", "/list/", "/list"),
        ("/shoes/", None, "/shoes/"),
        (7, "list", 7),
        ("/" + "x" * 3000, "list", "/" + "x" * 2042 + "/list"),
    ],
)
def test_component_is_added_to_the_path(path: object, component: str, joined: object) -> None:
    assert join_path(path, component) == joined


def test_path_has_the_prefix_under_which_the_site_is_mounted() -> None:
    assert get_path(build_request(path="/shop/shoes/?x=1", SCRIPT_NAME="/shop")).startswith(
        "/shop/"
    )


def test_path_is_cut_at_2048_characters() -> None:
    path = "/" + "x" * 5000

    assert get_path(build_request(path=path)) == path[:2048]


def test_path_that_is_empty_is_the_root() -> None:
    assert get_path(HttpRequest()) == "/"


# The device


@pytest.mark.parametrize("agent", read_agents("desktop"))
def test_device_of_a_desktop_browser_is_desktop(agent: str) -> None:
    assert get_device_type(build_request(agent)) == "desktop"
    assert get_ignore_reason(build_request(agent)) is None


@pytest.mark.parametrize("agent", read_agents("mobile"))
def test_device_of_a_phone_or_tablet_is_mobile(agent: str) -> None:
    assert get_device_type(build_request(agent)) == "mobile"
    assert get_ignore_reason(build_request(agent)) is None


@pytest.mark.parametrize(
    ("hint", "agent", "expected"),
    [
        ("?1", read_agents("desktop")[0], "mobile"),
        ("?1", "", "mobile"),
        ("?0", read_agents("desktop")[0], "desktop"),
        # Chrome on an Android tablet sends ?0.
        ("?0", read_agents("mobile")[0], "mobile"),
        ("?0", "", "desktop"),
        ("1", "", "desktop"),
        ("", read_agents("mobile")[0], "mobile"),
    ],
)
def test_client_hint_makes_a_device_mobile(hint: str, agent: str, expected: str) -> None:
    assert get_device_type(build_request(agent, HTTP_SEC_CH_UA_MOBILE=hint)) == expected


@pytest.mark.parametrize("agent", ["", "Shop/3.1", "\x00\xff", "x" * 10**6])
def test_client_that_says_nothing_of_itself_is_a_person_at_a_desktop(agent: str) -> None:
    request = build_request(agent)

    assert (get_device_type(request), get_ignore_reason(request)) == ("desktop", None)


def test_only_the_beginning_of_a_user_agent_is_looked_at() -> None:
    agent = "x " * (MAX_USER_AGENT // 2)

    assert get_device_type(build_request(f"{agent}iPhone")) == "desktop"
    assert get_ignore_reason(build_request(f"{agent}Googlebot/2.1")) is None
    assert get_ignore_reason(build_request(f"{agent[:-20]}Googlebot/2.1")) == "crawler"


# Crawlers, prefetches, HEAD


@pytest.mark.parametrize("agent", read_agents("crawlers"))
def test_crawler_is_known(agent: str) -> None:
    assert get_ignore_reason(build_request(agent)) == "crawler"


@pytest.mark.parametrize(
    "agent",
    [
        "shinybot/1.0",
        "SHINYBOT/1.0",
        "Mozilla/5.0 (compatible; Shiny/1.0; +https://shiny.example/about)",
        "Shiny Crawler",
        "shinyspider",
        "Shiny-Google",
        "Google-Shiny",
        # Of the browsers that scripts drive, those that say that they are crawlers.
        "Mozilla/5.0 HeadlessChrome/131.0.0.0 Safari/537.36 (compatible; ShinyBot/1.0)",
    ],
)
def test_crawler_that_no_list_has_is_known_by_what_it_calls_itself(agent: str) -> None:
    assert get_ignore_reason(build_request(agent)) == "crawler"


@pytest.mark.parametrize(
    "agent",
    [
        *("curl/8.5.0", "Wget/1.21.4", "python-requests/2.32.3", "Python-urllib/3.13"),
        *("Go-http-client/2.0", "axios/1.7.2", "node-fetch", "libwww-perl/6.77", "aiohttp/3.11"),
    ],
)
def test_library_of_servers_and_scripts_is_a_crawler(agent: str) -> None:
    assert get_ignore_reason(build_request(agent)) == "crawler"


# What the list of crawlers has, or might have, although people use it.
PERSONS = [
    *("okhttp/4.12.0", "Shop/3.1 okhttp/5.0.0-alpha.14", "Shop/7 CFNetwork/1490.0.4 Darwin/23.2.0"),
    *("Dart/3.5 (dart:io)", "Dalvik/2.1.0 (Linux; U; Android 15; Pixel 8 Build/AP4A.250105.002)"),
    *("Alamofire/5.9.1", "ktor-client", "ReactNative", "Java/17.0.9", "Amazon CloudFront"),
    "Mozilla/5.0 (Linux; Android 15; CPH2557 Build/AP3A.240617.008; wv) Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 16; Pixel 10; wv) Mobile Safari/537.36 MetaIAB Facebook",
]


@pytest.mark.parametrize("agent", PERSONS)
def test_app_is_a_person(agent: str) -> None:
    assert get_ignore_reason(build_request(agent)) is None


@pytest.mark.parametrize("agent", [f"{agent} Googlebot/2.1" for agent in PERSONS])
def test_crawler_in_the_guise_of_an_app_is_known(agent: str) -> None:
    assert get_ignore_reason(build_request(agent)) == "crawler"


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/131.0.0.0 Safari/537.36",
        "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 HeadlessEdg/131.0.0.0 Safari/537.36",
        "Mozilla/5.0 (Unknown; Linux x86_64) AppleWebKit/538.1 PhantomJS/2.1.1 Safari/538.1",
        "Mozilla/5.0 (X11; Linux x86_64; rv:59.0) Gecko/20100101 Firefox/59.0 SlimerJS/1.0.0",
        *("Selenium", "Mozilla/5.0 Playwright/1.49", "puppeteer", "Mozilla/5.0 splash Version/9"),
    ],
)
def test_browser_that_a_script_drives_is_automated(agent: str) -> None:
    assert get_ignore_reason(build_request(agent)) == "automated"


@pytest.mark.parametrize(
    "agent",
    [" " * 1024, "(bot " * 205, "http" * 256, "Build/" * 170, "Headless" * 128, "A1-" * 341],
)
def test_agent_that_is_meant_to_be_slow_takes_no_time(agent: str) -> None:
    get_ignore_reason(build_request("first"))  # which reads the list
    start = time.process_time()

    get_ignore_reason(build_request(f"{agent} "))

    assert time.process_time() - start < 0.2


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("HTTP_SEC_PURPOSE", "prefetch"),
        ("HTTP_SEC_PURPOSE", "prefetch;prerender"),
        ("HTTP_SEC_PURPOSE", "prefetch;anonymous-client-ip"),
        ("HTTP_PURPOSE", "prefetch"),
        ("HTTP_PURPOSE", "preview"),
        ("HTTP_X_PURPOSE", "preview"),
        ("HTTP_X_MOZ", "prefetch"),
        ("HTTP_X_MOZ", "Prefetch"),
    ],
)
def test_prefetch_is_known(header: str, value: str) -> None:
    request = build_request(read_agents("desktop")[0], **{header: value})

    assert get_ignore_reason(request) == "prefetch"


@pytest.mark.parametrize("header", ["HTTP_SEC_PURPOSE", "HTTP_PURPOSE", "HTTP_X_MOZ"])
@pytest.mark.parametrize("value", ["", "navigate", "document"])
def test_another_purpose_is_no_prefetch(header: str, value: str) -> None:
    assert get_ignore_reason(build_request(**{header: value})) is None


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_request_with_a_body_in_its_answer_is_seen(method: str) -> None:
    assert get_ignore_reason(RequestFactory().generic(method, "/")) is None


def test_head_request_is_not_seen() -> None:
    assert get_ignore_reason(RequestFactory().head("/")) == "head"


# The shop's own rule


def ignore_staff(request: HttpRequest) -> Any:
    return request.META.get("HTTP_X_STAFF")


@pytest.mark.parametrize("hook", [ignore_staff, "tests.test_visits.ignore_staff"])
def test_function_of_the_shop_decides_alone(hook: Any) -> None:
    with override_settings(TOPSORT_IGNORE_REQUEST=hook):
        assert get_ignore_reason(build_request(HTTP_X_STAFF="yes")) == "hook"
        assert get_ignore_reason(build_request(HTTP_X_STAFF="")) is None
        assert get_ignore_reason(build_request("Googlebot/2.1")) is None
        assert get_ignore_reason(RequestFactory().head("/", HTTP_SEC_PURPOSE="prefetch")) is None


@override_settings(TOPSORT_IGNORE_REQUEST="tests.nowhere.ignore")
def test_function_that_cannot_be_imported_is_an_error() -> None:
    with pytest.raises(TopsortConfigurationError, match=r"TOPSORT_IGNORE_REQUEST: 'tests\.nowhere"):
        get_ignore_reason(build_request())


async def ignore_later(request: HttpRequest) -> None:
    """Is never waited for."""


def test_async_function_is_an_error_and_no_yes() -> None:
    with (
        override_settings(TOPSORT_IGNORE_REQUEST=ignore_later),
        pytest.raises(TopsortConfigurationError, match="TOPSORT_IGNORE_REQUEST: an async function"),
    ):
        get_ignore_reason(build_request())
