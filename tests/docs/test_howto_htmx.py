"""docs/howto/htmx.md on the server's side; tests/browsers/test_htmx.py has htmx itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import path
from django.utils.module_loading import import_string

from tests.docs.guides import Project, get_keys
from tests.shop.models import Product

# "js" is run by a browser.
BLOCKS = ["shop/templates/products.html", "shop/templates/cards.html", "shop/views.py", "js", "js"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(project: Project) -> Iterator[Project]:
    project.follow("htmx")
    Product.objects.bulk_create([Product(name=f"Kettle {number}") for number in range(3)])
    with project.use(path("kitchen/", import_string("shop.views.show_products"))):
        yield project


def test_guide_has_these_blocks() -> None:
    assert get_keys("htmx") == BLOCKS


def test_part_has_attributes_and_no_script(shop: Project) -> None:
    shopper = shop.shopper()
    page: Any = shopper.get("/kitchen/")
    part: Any = shopper.get("/kitchen/?page=2", headers={"HX-Request": "true"})

    assert page.content.count(b"data-ts-product") == 2
    assert page.content.count(b"data-ts-url") == 1
    assert b'hx-get="?page=2"' in page.content
    assert part.content.count(b"data-ts-product") == 1
    assert b"<script" not in part.content
    assert b"hx-get" not in part.content
    assert b'"page":2' in part.content.replace(b" ", b"")
    assert page["Vary"] == part["Vary"] == "HX-Request, HX-Boosted, HX-History-Restore-Request"


@pytest.mark.parametrize("header", ["HX-Boosted", "HX-History-Restore-Request"])
def test_what_takes_the_place_of_the_body_is_a_whole_page(shop: Project, header: str) -> None:
    headers = {"HX-Request": "true", header: "true"}

    page: Any = shop.shopper().get("/kitchen/?page=2", headers=headers)

    assert b"<script" in page.content
