"""docs/howto/csp.md: the script has the nonce of the policy, whoever makes it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import include, path

from django_topsort.testing import capture_events
from tests.docs.guides import Project, get_keys, get_text, read_settings

BLOCKS = [
    "mysite/settings.py, from Django 6.0 on",
    "mysite/settings.py, with django-csp",
    "shop/templates/products.html",
    "shop/templates/other.html",
    "console",
]
POLICIES = ["mysite/settings.py, with django-csp"] + (
    ["mysite/settings.py, from Django 6.0 on"] if django.VERSION >= (6, 0) else []
)


def show(request: HttpRequest) -> HttpResponse:
    return render(request, "products.html")


def show_other(request: HttpRequest) -> HttpResponse:
    request.my_nonce = "their-own"  # type: ignore[attr-defined]
    return render(request, "other.html")


urlpatterns = [
    path("", show),
    path("other/", show_other),
    path("topsort/", include("django_topsort.urls")),
]
pytestmark = pytest.mark.urls(__name__)


@pytest.fixture(params=POLICIES)
def shop(request: pytest.FixtureRequest, project: Project) -> Iterator[Project]:
    project.follow("csp")
    with project.use(**read_settings("csp", request.param)):
        yield project


def test_guide_has_these_blocks() -> None:
    assert get_keys("csp") == BLOCKS


def test_nonce_of_the_script_is_that_of_the_policy(shop: Project) -> None:
    shopper = shop.shopper()
    nonces = set()
    for _ in range(2):
        response: Any = shopper.get("/")
        policy = response["Content-Security-Policy"]
        (nonce,) = re.findall(r"script-src [^;]*'nonce-([^']+)'", policy)
        (tag,) = re.findall(r"<script[^>]*>", response.content.decode())
        assert f' nonce="{nonce}"' in tag
        assert "'strict-dynamic'" in policy
        assert "default-src 'self'" in policy
        assert "connect-src" not in policy
        nonces.add(nonce)
    assert len(nonces) == 2


def test_command_of_the_guide_finds_the_same_nonce_twice(shop: Project) -> None:
    (expression,) = re.findall(r'grep -o "(.*)"', get_text("csp", "console"))
    assert shlex.split(get_text("csp", "console"))[0] == "curl"
    response: Any = shop.shopper().get("/")
    text = f"{response['Content-Security-Policy']}\n{response.content.decode()}"

    found = re.findall(expression, text)

    assert len({re.sub(r"^nonce[-=]|[\"']", "", one) for one in found}) == 1
    assert len(found) == 2


def test_nonce_of_another_library_is_passed_on(shop: Project) -> None:
    response: Any = shop.shopper().get("/other/")

    assert b' nonce="their-own"' in response.content


def test_page_without_a_policy_has_no_nonce(project: Project) -> None:
    project.follow("csp")
    with project.use():
        response: Any = project.shopper().get("/")

    assert b"nonce" not in response.content


def test_tags_of_the_server_need_no_script(project: Project) -> None:
    page = '{% load topsort %}{% topsort_pageview %}{% topsort_impression "p-1" %}'
    project.write("shop/templates/products.html", page)
    with project.use(), capture_events() as events:
        response: Any = project.shopper().get("/")

    assert response.content == b""
    assert len(events) == 2
