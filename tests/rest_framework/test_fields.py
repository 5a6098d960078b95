"""The field of a serializer that carries what a client needs to report an object."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from django.http import HttpRequest
from django.test import RequestFactory, override_settings
from django.urls import include, path
from django.views.decorators.cache import cache_page
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.test import APIClient

from django_topsort.backends.locmem import outbox
from django_topsort.bids import is_signed, read_bid
from django_topsort.events import Click, Impression
from django_topsort.exceptions import InvalidEvent
from django_topsort.rest_framework.fields import TopsortField
from django_topsort.rest_framework.mixins import ReportsImpressions
from django_topsort.shoppers import read_shopper, sign_shopper
from tests.shop.models import Product
from tests.test_imports import ROOT

BROWSER = {"user-agent": "Mozilla/5.0 Firefox/140.0"}
SHOPPER = "0193568c-3d1c-7b7e-9d39-4d3ea2b4a111"

pytestmark = pytest.mark.urls(__name__)


class CardSerializer(serializers.Serializer[Any]):
    topsort = TopsortField()


class ProductSerializer(serializers.ModelSerializer[Product]):
    topsort = TopsortField()

    class Meta:
        model = Product
        fields = ["name", "topsort"]


class VendorSerializer(serializers.Serializer[Any]):
    topsort = TopsortField(entity_type="vendor")


class OwnField(TopsortField):
    def get_product(self, obj: Any) -> object:
        return obj.product

    def get_resolved_bid_id(self, obj: Any) -> str | None:
        return f"bid-of-{obj.product}"


class OfferSerializer(serializers.Serializer[Any]):
    topsort = OwnField()


class BundleSerializer(serializers.Serializer[Any]):
    topsort = TopsortField()
    parts = CardSerializer(many=True)


class Bundles(ReportsImpressions, ListAPIView[Any]):
    serializer_class = BundleSerializer
    pagination_class = None
    filter_backends = []
    permission_classes = []
    topsort_reports = "seen"

    def get_queryset(self) -> Any:
        return [{"id": "bundle", "parts": [{"id": "part", "resolved_bid_id": "bid-of-part"}]}]

    def get_topsort_product(self, obj: Any) -> object:
        return f"product-of-{obj['id']}"

    def get_resolved_bid_id(self, obj: Any) -> str | None:
        return f"bid-of-{obj['id']}"


class OneProduct(RetrieveAPIView[Product]):
    queryset = Product.objects.all()
    serializer_class = ProductSerializer
    permission_classes = []


class Products(ReportsImpressions, ListAPIView[Product]):
    queryset = Product.objects.order_by("pk")
    serializer_class = ProductSerializer
    pagination_class = None
    permission_classes = []


class Offers(ListAPIView[Any]):
    serializer_class = CardSerializer
    pagination_class = None
    filter_backends = []
    permission_classes = []
    queryset: Any = [
        SimpleNamespace(id="p-1", resolved_bid_id="bid-1"),
        SimpleNamespace(id="p-2", resolved_bid_id=None),
    ]

    def get_queryset(self) -> Any:
        return self.queryset


urlpatterns = [
    path("topsort/", include("django_topsort.urls")),
    path("offers/", Offers.as_view()),
    path("cached/", cache_page(60)(Offers.as_view())),
    path("cached-organic/", cache_page(60)(Offers.as_view(queryset=Offers.queryset[1:]))),
    path("bundles/", Bundles.as_view()),
    path("products/", Products.as_view()),
    path("products/<int:pk>/", OneProduct.as_view()),
]


@pytest.fixture
def request_() -> HttpRequest:
    request = RequestFactory().get("/", headers=BROWSER)
    request.COOKIES["tsuid"] = SHOPPER
    return request


def show(request: object, shown: Any, serializer: Any = CardSerializer) -> Any:
    return serializer(shown, context={"request": request}).data["topsort"]


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ({"id": "p-1"}, {"entity": {"id": "p-1", "type": "product"}}),
        (Product(pk=1), {"entity": {"id": "1", "type": "product"}}),
        ("p-1", {"entity": {"id": "p-1", "type": "product"}}),
        ({"id": "p-1", "resolved_bid_id": ""}, {"entity": {"id": "p-1", "type": "product"}}),
        (
            SimpleNamespace(id="p-1", resolved_bid_id="bid-1"),
            {"entity": {"id": "p-1", "type": "product"}, "resolvedBidId": "bid-1"},
        ),
    ],
)
def test_field_says_what_an_event_of_the_object_has(
    request_: HttpRequest, shown: Any, said: dict[str, Any]
) -> None:
    assert show(request_, shown) == said
    for kind in (Impression, Click):
        # As a client would put it into an event.
        event = {**said, "opaqueUserId": SHOPPER, "placement": {"path": "/", "position": 1}}
        assert msgspec.convert(event, kind).placement is not None


def test_bid_is_signed_for_the_shopper_where_it_must_be(request_: HttpRequest) -> None:
    with override_settings(TOPSORT_REQUIRE_SIGNED_BIDS=True):
        said = show(request_, {"id": "p-1", "resolved_bid_id": "bid-1"})

    assert is_signed(said["resolvedBidId"])
    assert read_bid(said["resolvedBidId"], {SHOPPER}) == "bid-1"


def test_vendor_is_a_vendor(request_: HttpRequest) -> None:
    said = show(request_, {"id": 5}, VendorSerializer)

    assert said == {"entity": {"id": "5", "type": "vendor"}}


def test_field_of_the_shop_may_find_product_and_bid_elsewhere(request_: HttpRequest) -> None:
    said = show(request_, SimpleNamespace(product="p-1"), OfferSerializer)

    assert said == {"entity": {"id": "p-1", "type": "product"}, "resolvedBidId": "bid-of-p-1"}


def test_field_works_for_many(request_: HttpRequest) -> None:
    data = CardSerializer(["a", "b"], many=True, context={"request": request_}).data

    assert [card["topsort"]["entity"]["id"] for card in data] == ["a", "b"]


@pytest.mark.parametrize("context", [{}, {"request": None}])
def test_field_without_a_request_is_none(context: dict[str, Any]) -> None:
    assert CardSerializer("p-1", context=context).data == {"topsort": None}


def test_field_without_consent_is_none_and_asks_once(request_: HttpRequest) -> None:
    asked = []

    def refuse(request: HttpRequest) -> bool:
        asked.append(request)
        return False

    with override_settings(TOPSORT_CONSENT=refuse):
        data = CardSerializer(["a", "b"], many=True, context={"request": request_}).data

    assert [card["topsort"] for card in data] == [None, None]
    assert len(asked) == 1


def test_field_of_a_page_that_is_fetched_in_advance_is_there() -> None:
    request = RequestFactory().get("/", headers={**BROWSER, "sec-purpose": "prefetch"})

    assert show(request, "p-1") is not None


def test_field_of_a_product_that_topsort_does_not_know_is_none(request_: HttpRequest) -> None:
    with override_settings(TOPSORT_PRODUCT_ID=lambda product: None):
        assert show(request_, Product(pk=1)) is None
        # A bid says enough, as in an event.
        sponsored = SimpleNamespace(pk=1, resolved_bid_id="bid-1")
        assert show(request_, sponsored) == {"resolvedBidId": "bid-1"}


@pytest.mark.parametrize(
    "shown", [{}, {"id": "x" * 3000}, {"id": "p", "resolved_bid_id": "x" * 3000}]
)
def test_field_of_wrong_data_is_none(
    request_: HttpRequest, shown: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    assert show(request_, shown) is None
    assert "not used kind=field field=" in caplog.text
    with override_settings(TOPSORT_STRICT=True), pytest.raises(InvalidEvent):
        show(request_, shown)


def test_field_is_read_only() -> None:
    assert CardSerializer().fields["topsort"].read_only
    serializer = CardSerializer(data={"topsort": {"resolvedBidId": "bid"}})
    assert serializer.is_valid()
    assert serializer.validated_data == {}


def test_view_says_which_product_and_bid_its_own_objects_have() -> None:
    (bundle,) = APIClient(headers=BROWSER).get("/bundles/").json()

    assert bundle["topsort"] == {
        "entity": {"id": "product-of-bundle", "type": "product"},
        "resolvedBidId": "bid-of-bundle",
    }
    # What is part of such an object is none.
    assert bundle["parts"][0]["topsort"] == {
        "entity": {"id": "part", "type": "product"},
        "resolvedBidId": "bid-of-part",
    }


def build_events(cards: list[Any]) -> dict[str, Any]:
    """Do as an app does with the cards that it shows."""
    return {
        "impressions": [
            {**card["topsort"], "placement": {"path": "/offers", "position": position}}
            for position, card in enumerate(cards, start=1)
        ]
    }


@override_settings(TOPSORT_USER_HEADER=True, TOPSORT_REQUIRE_SIGNED_BIDS=True)
def test_app_without_cookies_reports_what_it_was_given() -> None:
    response = APIClient(headers=BROWSER).get("/offers/")
    name = response["X-Topsort-User"]
    events = build_events(response.json())
    app = APIClient(headers={**BROWSER, "x-topsort-user": name})

    answer = app.post("/topsort/v2/events", events, format="json")

    assert answer.status_code == 204
    assert {event.opaque_user_id for event in outbox} == {read_shopper(name)}
    assert [getattr(event, "resolved_bid_id", None) for event in outbox] == ["bid-1", None]
    assert read_shopper(answer["X-Topsort-User"]) == read_shopper(name)
    # And nobody else can.
    other = APIClient(headers={**BROWSER, "x-topsort-user": sign_shopper("another")})
    assert other.post("/topsort/v2/events", events, format="json").status_code == 400


def test_answer_with_a_bid_is_one_shoppers_alone() -> None:
    response = APIClient(headers=BROWSER).get("/offers/")

    assert "private" in response["Cache-Control"]
    assert "Cookie" in response["Vary"]
    assert response.cookies["tsuid"].value
    organic = APIClient(headers=BROWSER).get("/cached-organic/")
    assert "private" not in organic["Cache-Control"]
    assert not organic.cookies


@pytest.mark.parametrize(("url", "is_kept"), [("/cached/", False), ("/cached-organic/", True)])
def test_cache_of_django_keeps_no_answer_with_a_bid(
    url: str, is_kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[object] = []
    represent = CardSerializer.to_representation

    def note(self: CardSerializer, shown_object: Any) -> Any:
        shown.append(shown_object)
        return represent(self, shown_object)

    monkeypatch.setattr(CardSerializer, "to_representation", note)
    first, again = (APIClient(headers=BROWSER).get(url).json() for _ in range(2))

    assert len(first) == len(again)
    assert len(shown) == len(first) * (1 if is_kept else 2)


@pytest.mark.django_db
def test_field_is_in_the_answers_of_views() -> None:
    product = Product.objects.create(name="shoe")
    said = {"name": "shoe", "topsort": {"entity": {"id": str(product.pk), "type": "product"}}}
    client = APIClient(headers=BROWSER)

    assert client.get("/products/").json() == [said]
    assert client.get(f"/products/{product.pk}/").json() == said


def test_schema_describes_the_field() -> None:
    described_by: dict[str, Any] = {"schema": AutoSchema()}
    views: list[Any] = [
        type(view.__name__, (view,), described_by) for view in (Products, OneProduct)
    ]
    patterns = [path(f"{view.__name__}/<pk>/", view.as_view()) for view in views]
    generator: Any = SchemaGenerator
    schema = generator(patterns=patterns).get_schema(request=None, public=True)
    components = schema["components"]["schemas"]
    described = components["Product"]["properties"]["topsort"]

    assert described["readOnly"] is True
    assert described["nullable"] is True
    assert set(described["properties"]) == {"entity", "resolvedBidId"}
    assert "topsort" in components["Product"]["required"]


def test_field_needs_no_drf_spectacular() -> None:
    code = (
        "import sys; sys.modules['drf_spectacular'] = None\n"
        "import django; django.setup()\n"
        "from django_topsort.rest_framework import fields; print(fields.TopsortField.__name__)"
    )
    env = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env=env,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )

    assert done.stdout == "TopsortField\n", done.stderr
