"""docs/howto/htmx.md in a browser, with htmx itself from npm's registry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.module_loading import import_string
from selenium.webdriver.common.by import By

from django_topsort.backends.locmem import outbox
from django_topsort.events import Impression, PageView
from tests.browsers.chromium import Browser, wait_until
from tests.browsers.npm import install
from tests.browsers.site.urls import SCRIPT, send_no_icon
from tests.docs.guides import get_guide, make_project

pytestmark = pytest.mark.browsers

MODELS = """
from types import SimpleNamespace

NAMES = ["kettle", "teapot", "pan"]
PRODUCTS = [SimpleNamespace(pk=f"p-{n}", name=name) for n, name in enumerate(NAMES, 1)]
Product = SimpleNamespace(objects=SimpleNamespace(order_by=lambda field: PRODUCTS))
"""
# A link to another page, whose list takes the place of this one's.
LINK = "<a id=next hx-get='/kitchen/?page=1' hx-push-url='/bath/' hx-target='#products'>Bath</a>"
SAY, LISTEN = [block.text for block in get_guide("htmx") if block.language == "js"]


@pytest.fixture(scope="module", params=["2.0.11", "4.0.1"])
def htmx(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text of htmx."""
    folder = tmp_path_factory.mktemp("htmx")
    install(folder, f"htmx.org@{request.param}")
    return (folder / "node_modules/htmx.org/dist/htmx.min.js").read_text(encoding="utf-8")


@pytest.fixture
def shop(
    browser: Browser, htmx: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Browser]:
    """A browser on the first page of the guide's shop."""

    def serve(request: HttpRequest, name: str) -> HttpResponse:
        text = htmx if name == "htmx.min.js" else SCRIPT.read_text(encoding="utf-8")
        return HttpResponse(text, content_type="text/javascript")

    with make_project(tmp_path, monkeypatch) as project:
        project.follow("htmx")
        project.write("shop/models.py", MODELS)
        urls = (
            path("favicon.ico", send_no_icon),
            path("static/<path:name>", serve),
            path("kitchen/", import_string("shop.views.show_products")),
        )
        with project.use(*urls):
            browser.go("kitchen/")
            browser.run(SAY)
            wait_for_impressions("p-1", "p-2")
            yield browser
            browser.driver.get("about:blank")


def get_impressions() -> list[Impression]:
    return [event for event in outbox if isinstance(event, Impression)]


def wait_for_impressions(*products: str) -> None:
    """Wait until exactly these products were reported."""
    expected = Counter(products)

    def arrived() -> bool:
        return Counter(event.entity.id for event in get_impressions() if event.entity) == expected

    wait_until(arrived, f"impressions of {products}")


def test_part_that_comes_later_is_reported_once(shop: Browser) -> None:
    shop.run(f"window.log = []; console.log = (...said) => log.push(said); {LISTEN}")

    shop.driver.find_element(By.TAG_NAME, "button").click()

    wait_for_impressions("p-1", "p-2", "p-3")
    placement = get_impressions()[-1].placement
    assert placement is not None
    assert (placement.path, placement.page, placement.position) == ("/kitchen/", 2, 1)
    assert [kind for kind, _ in shop.run("return log")] == ["impressions"]
    views = [event for event in outbox if isinstance(event, PageView)]
    assert [view.page.page_id for view in views] == ["kitchen"]


def test_list_that_is_drawn_anew_is_reported_on_its_new_page_alone(shop: Browser) -> None:
    again = "hx-get='/kitchen/?page=1' hx-target='#products'>Bath</a>"
    shop.run(
        "const to = document.body; to.insertAdjacentHTML('beforeend', arguments[0]);"
        " htmx.process(to)",
        f"<button id=again {again}>Again</button>{LINK}",
    )
    shop.run("window.first = document.querySelector('li')")
    shop.find("again").click()
    wait_until(lambda: not shop.run("return first.isConnected"), "the list is drawn anew")

    shop.find("next").click()

    # Those of the same address were reported; those of the new one are shown on another page.
    wait_for_impressions("p-1", "p-2", "p-1", "p-2")
    paths = Counter(event.placement.path for event in get_impressions() if event.placement)
    assert paths == {"/kitchen/": 2, "/bath/": 2}
    views = [event.page.page_id for event in outbox if isinstance(event, PageView)]
    assert views == ["kitchen", "/bath/"]


def test_page_that_a_boosted_link_brings_is_said_once(shop: Browser) -> None:
    shop.run(
        "const to = document.body; to.insertAdjacentHTML('beforeend', arguments[0]);"
        " htmx.process(to)",
        "<a id=boosted href='/kitchen/?page=2' hx-boost=true>More</a>",
    )

    shop.find("boosted").click()

    wait_for_impressions("p-1", "p-2", "p-3")
    views = [event.page.page_id for event in outbox if isinstance(event, PageView)]
    assert views == ["kitchen", "/kitchen/"]
    # A second script came with it, and left the page to the first one.
    assert shop.run("return document.querySelectorAll('script[data-ts-page]').length") == 2
