"""docs/howto/api-first.md: an app that keeps a header in the place of a cookie."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import include, path
from django.utils.module_loading import import_string
from rest_framework.test import APIClient

from django_topsort.shoppers import USER_HEADER, read_shopper
from django_topsort.signals import order_paid
from django_topsort.testing import capture_events
from tests.docs.guides import Project, get_keys, get_text, read_settings
from tests.shop.models import Product

BLOCKS = [
    "shop/api.py",
    "shop/urls.py",
    "mysite/settings.py",
    "POST /topsort/v2/events",
    "shop/listing.py",
    "shop/checkout.py",
]
APP = {"user-agent": "Shop/3.1 okhttp/4.12"}
EVENTS = "/topsort/v2/events"

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(project: Project) -> Iterator[Project]:
    project.follow("api-first")
    Product.objects.create(pk=1, name="Kettle")
    Product.objects.create(pk=2, name="Teapot")
    urls = (
        path("kitchen/", import_string("shop.listing.Kitchen").as_view()),
        path("checkout/", import_string("shop.checkout.place_order")),
        path("", include("shop.urls")),
    )
    with project.use(*urls, **read_settings("api-first")):
        yield project


def test_guide_has_these_blocks() -> None:
    assert get_keys("api-first") == BLOCKS


def test_list_gives_the_client_what_it_needs_and_reports_nothing(shop: Project) -> None:
    with capture_events() as events:
        response = APIClient(headers=APP).get("/api/products/")

    assert response.json() == [
        {"id": 1, "name": "Kettle", "topsort": {"entity": {"type": "product", "id": "1"}}},
        {"id": 2, "name": "Teapot", "topsort": {"entity": {"type": "product", "id": "2"}}},
    ]
    assert read_shopper(response[USER_HEADER])
    assert events == []


def test_body_of_the_guide_is_taken_from_the_shopper_of_the_header(shop: Project) -> None:
    said = APIClient(headers=APP).get("/api/products/")[USER_HEADER]
    client = Client(headers={**APP, USER_HEADER: said})
    body = get_text("api-first", BLOCKS[3])

    with capture_events() as events:
        response = client.post(EVENTS, body, content_type="application/json")

    assert response.status_code == 204
    assert sorted(event.kind for event in events) == ["clicks", "impressions", "pageviews"]
    assert {event.opaque_user_id for event in events} == {read_shopper(said)}
    assert {event.id for event in events} == {
        event["id"] for some in json.loads(body).values() for event in some
    }
    # Those of the list are what the events are about.
    listed = APIClient(headers=APP).get("/api/products/").json()[0]["topsort"]
    assert json.loads(body)["impressions"][0]["entity"] == listed["entity"]


def test_list_of_the_server_is_reported_with_its_placement(shop: Project) -> None:
    with capture_events() as events:
        APIClient(headers=APP).get("/kitchen/")

    assert [(event.entity.id, event.placement.position) for event in events.impressions] == [  # type: ignore[union-attr]
        ("1", 1),
        ("2", 2),
    ]
    placement = events.impressions[0].placement
    assert placement is not None
    assert (placement.path, placement.category_ids) == ("/kitchen", ("kitchen",))


def test_order_of_an_app_is_its_shoppers(shop: Project) -> None:
    said = APIClient(headers=APP).get("/api/products/")[USER_HEADER]
    client = APIClient(headers={**APP, USER_HEADER: said})
    assert client.post("/checkout/", {"number": "1001"}, format="json").status_code == 201
    order: Any = {"number": "1001", "lines": [{"product": "1", "line_total": "9.90"}]}

    with capture_events() as events:
        order_paid.send(sender=None, order=order)

    assert [event.opaque_user_id for event in events.purchases] == [read_shopper(said)]


def test_without_a_header_each_request_is_another_shopper(shop: Project) -> None:
    body = get_text("api-first", BLOCKS[3])
    with capture_events() as events:
        for _ in range(2):
            Client(headers=APP).post(EVENTS, body, content_type="application/json")

    assert len({event.opaque_user_id for event in events}) == 2


def test_programs_purchases_and_slashes_are_answered_as_the_guide_says(shop: Project) -> None:
    body = get_text("api-first", BLOCKS[3])
    program = Client(headers={"user-agent": "axios/1.7"})
    with capture_events() as events:
        assert program.post(EVENTS, body, content_type="application/json").status_code == 204
        bought = '{"purchases": [{"items": [{"productId": "1", "unitPrice": 1}]}]}'
        app = Client(headers=APP)
        assert app.post(EVENTS, bought, content_type="application/json").status_code == 400
        assert app.post(f"{EVENTS}/", body, content_type="application/json").status_code == 404
        foreign = Client(headers={**APP, "origin": "https://other.example"})
        assert foreign.post(EVENTS, body, content_type="application/json").status_code == 403
    assert events == []


def test_serializer_without_a_request_says_null(shop: Project) -> None:
    serializer = import_string("shop.api.ProductSerializer")

    assert serializer(Product(pk=1, name="Kettle")).data["topsort"] is None
