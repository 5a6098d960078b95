"""Lists of an API that report what they show."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.http import HttpRequest
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import include, path
from rest_framework import serializers, viewsets
from rest_framework.filters import BaseFilterBackend, SearchFilter
from rest_framework.generics import ListAPIView
from rest_framework.pagination import CursorPagination, LimitOffsetPagination, PageNumberPagination
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.test import APIClient, APIRequestFactory
from rest_framework.views import APIView

from django_topsort.backends.locmem import outbox
from django_topsort.events import Entity, Impression, Placement
from django_topsort.exceptions import InvalidEvent
from django_topsort.rest_framework.mixins import ReportsImpressions
from django_topsort.shoppers import USER_HEADER, read_shopper
from django_topsort.tracking import track_pageview
from tests.shop.models import Product

BROWSER = {"user-agent": "Mozilla/5.0 Firefox/140.0"}

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]


class NotBoots(serializers.ListSerializer[Any]):
    """Leaves some of what it is given out."""

    def to_representation(self, data: Any) -> Any:
        return super().to_representation([one for one in data if one.name != "boot"])


class ProductSerializer(serializers.ModelSerializer[Product]):
    class Meta:
        model = Product
        fields = ["id", "name"]


class NotBootsSerializer(ProductSerializer):
    class Meta(ProductSerializer.Meta):
        list_serializer_class = NotBoots


class OfferSerializer(serializers.Serializer[Any]):
    sku = serializers.CharField()


class Pages(PageNumberPagination):
    page_size = 2
    page_size_query_param = "page_size"


class Offsets(LimitOffsetPagination):
    default_limit = 2


class Cursors(CursorPagination):
    page_size = 2
    ordering = "pk"


class Nobody(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        return False


class AllOfThem(BaseFilterBackend):
    """A filter that is no search."""

    def filter_queryset(self, request: Request, queryset: Any, view: Any) -> Any:
        return queryset


class Products(ReportsImpressions, ListAPIView[Product]):
    queryset = Product.objects.order_by("pk")
    serializer_class = ProductSerializer
    filter_backends = [AllOfThem, SearchFilter]
    search_fields = ["name"]
    permission_classes = []


class Paged(Products):
    pagination_class = Pages


class Shelf(Products):
    pagination_class = Pages
    topsort_placement = {"category_ids": ["shoes"], "component": "shelf"}


class Seen(Products):
    topsort_reports = "seen"


class Misspelt(Products):
    topsort_reports = "render"  # type: ignore[assignment]


class Forbidden(Products):
    permission_classes = [Nobody]


class Failing(ReportsImpressions, ListAPIView[Product]):
    """Its list says that something is wrong after it was serialized."""

    queryset = Product.objects.order_by("pk")
    serializer_class = ProductSerializer

    def get_paginated_response(self, data: Any) -> Response:
        return Response(data, status=500)

    pagination_class = Pages


class FromManager(Products):
    def filter_queryset(self, queryset: Any) -> Any:
        return Product.objects  # which is asked when it is serialized


class FromGenerator(Products):
    def filter_queryset(self, queryset: Any) -> Any:
        return (one for one in queryset)


class Offers(ReportsImpressions, ListAPIView[Any]):
    """Offers of products that the shop has from somewhere else."""

    serializer_class = OfferSerializer
    pagination_class = None
    offers: list[Any] = [
        {"sku": "shoe-1", "resolved_bid_id": "bid-1"},
        {"sku": "shoe-2", "resolved_bid_id": None},
        {"sku": "shoe-3"},
    ]

    def get_queryset(self) -> Any:
        return self.offers

    def filter_queryset(self, queryset: Any) -> Any:
        return queryset

    def get_topsort_product(self, obj: Any) -> object:
        return obj["sku"]


class Twice(Products):
    """Serializes its list for a checksum, too."""

    def get_paginated_response(self, data: Any) -> Response:
        page = self.filter_queryset(self.get_queryset())[:2]
        assert self.get_serializer(page, many=True).data == data
        return super().get_paginated_response(data)

    pagination_class = Pages


class Again(Products):
    """Has one serializer that works twice."""

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        serializer = super().get_serializer(*args, **kwargs)
        serializer.to_representation(serializer.instance)
        return serializer


class TwoLists(Twice):
    """Lists what goes with its page, too."""

    def get_paginated_response(self, data: Any) -> Response:
        others = Product.objects.filter(name="slipper")
        return Response([*data, *self.get_serializer(others, many=True).data])


class Sponsored(Products):
    def get_resolved_bid_id(self, obj: Product) -> str | None:
        return {"shoe": "bid-of-a-shoe", "boot": ""}.get(obj.name)


class Broken(Products):
    def get_resolved_bid_id(self, obj: Product) -> str | None:
        if obj.name == "boot":
            raise ZeroDivisionError
        return None


class Misplaced(Products):
    def get_topsort_placement(self) -> Any:
        raise ZeroDivisionError


class ProductViews(ReportsImpressions, viewsets.ReadOnlyModelViewSet[Product]):
    queryset = Product.objects.order_by("pk")
    serializer_class = ProductSerializer
    pagination_class = Pages


router = SimpleRouter()
router.register("views", ProductViews, basename="views")

urlpatterns = [
    path("products/", Products.as_view()),
    path("paged/", Paged.as_view()),
    path("offsets/", Products.as_view(pagination_class=Offsets)),
    path("unlimited-offsets/", Products.as_view(pagination_class=LimitOffsetPagination)),
    path("cursors/", Products.as_view(pagination_class=Cursors)),
    path("unlimited/", Products.as_view(pagination_class=PageNumberPagination)),
    path("shelf/", Shelf.as_view()),
    path("seen/", Seen.as_view()),
    path("misspelt/", Misspelt.as_view()),
    path("forbidden/", Forbidden.as_view()),
    path("failing/", Failing.as_view()),
    path("some/", Products.as_view(serializer_class=NotBootsSerializer)),
    path("manager/", FromManager.as_view()),
    path("generator/", FromGenerator.as_view()),
    path("partial/", Products.as_view(filter_backends=[partial(SearchFilter)])),
    path("twice/", Twice.as_view()),
    path("again/", Again.as_view()),
    path("two-lists/", TwoLists.as_view()),
    path("offers/", Offers.as_view()),
    path("sponsored/", Sponsored.as_view()),
    path("broken/", Broken.as_view()),
    path("misplaced/", Misplaced.as_view()),
    path("", include(router.urls)),
]


@pytest.fixture
def client() -> APIClient:
    return APIClient(headers=BROWSER)


@pytest.fixture(autouse=True)
def products() -> dict[str, Product]:
    return {
        name: Product.objects.create(name=name) for name in ("shoe", "boot", "sandal", "slipper")
    }


def get_shown() -> list[tuple[str | None, int | None]]:
    """Return which products were reported, and at which places."""
    found = []
    for event in outbox:
        assert isinstance(event, Impression)
        assert event.placement is not None
        name = event.entity.id if event.entity else event.resolved_bid_id
        found.append((name, event.placement.position))
    return found


def get_placements() -> list[Placement | None]:
    return [getattr(event, "placement", None) for event in outbox]


def get_places(products: dict[str, Product], *names: str) -> list[tuple[str, int]]:
    return [(str(products[name].pk), place) for place, name in enumerate(names, start=1)]


@pytest.mark.parametrize(
    "url", ["products", "unlimited", "manager", "generator", "partial", "again"]
)
def test_list_reports_each_object_at_its_place(
    client: APIClient, products: dict[str, Product], url: str
) -> None:
    response = client.get(f"/{url}/")

    assert response.status_code == 200
    assert len(response.json()) == 4
    assert get_shown() == get_places(products, "shoe", "boot", "sandal", "slipper")
    assert get_placements()[0] == Placement(path=f"/{url}/", position=1)
    assert {event.opaque_user_id for event in outbox} == {response.cookies["tsuid"].value}


def test_page_of_a_list_says_which_it_is(client: APIClient, products: dict[str, Product]) -> None:
    client.get("/paged/?page=2")

    assert get_shown() == get_places(products, "sandal", "slipper")
    assert get_placements() == [
        Placement(path="/paged/", position=place, page=2, page_size=2) for place in (1, 2)
    ]


def test_page_has_the_size_that_the_client_asked_for(client: APIClient) -> None:
    client.get("/paged/?page_size=3")

    assert len(outbox) == 3
    assert get_placements()[2] == Placement(path="/paged/", position=3, page=1, page_size=3)


@pytest.mark.parametrize(
    ("url", "places"),
    [
        ("/offsets/", (1, 2)),
        ("/offsets/?offset=1", (2, 3)),
        ("/offsets/?limit=2&offset=2", (3, 4)),
        ("/unlimited-offsets/", (1, 2, 3, 4)),
        ("/cursors/", (1, 2)),
    ],
)
def test_page_without_a_number_has_places_alone(
    client: APIClient, url: str, places: tuple[int, ...]
) -> None:
    client.get(url)

    name = url.partition("?")[0]
    assert get_placements() == [Placement(path=name, position=place) for place in places]


def test_page_after_a_cursor_begins_anew(client: APIClient, products: dict[str, Product]) -> None:
    second = client.get("/cursors/").json()["next"]
    outbox.clear()
    client.get(second)

    assert get_shown() == get_places(products, "sandal", "slipper")


def test_viewset_reports_its_list_and_nothing_else(
    client: APIClient, products: dict[str, Product]
) -> None:
    client.get(f"/views/{products['shoe'].pk}/")
    assert outbox == []

    client.get("/views/")

    assert get_shown() == get_places(products, "shoe", "boot")


def test_list_costs_no_query_more(client: APIClient) -> None:
    for url in ("/products/", "/paged/", "/manager/"):
        with CaptureQueriesContext(
            connection,
        ) as reported:
            client.get(url)
        with (
            override_settings(TOPSORT_IGNORE_REQUEST=lambda request: True),
            CaptureQueriesContext(connection) as plain,
        ):
            client.get(url)

        assert len(reported) == len(plain) > 0
    assert len(outbox) == 10


def test_only_what_was_serialized_is_reported(
    client: APIClient, products: dict[str, Product]
) -> None:
    client.get("/some/")

    assert get_shown() == get_places(products, "shoe", "sandal", "slipper")


def test_list_that_is_serialized_twice_is_reported_once(
    client: APIClient, products: dict[str, Product]
) -> None:
    client.get("/twice/")

    assert get_shown() == get_places(products, "shoe", "boot")


def test_two_lists_of_one_answer_are_both_reported(
    client: APIClient, products: dict[str, Product]
) -> None:
    client.get("/two-lists/")

    assert get_shown() == get_places(products, "shoe", "boot", "slipper")


def test_placement_of_the_view_is_in_each_event(client: APIClient) -> None:
    client.get("/shelf/")

    assert get_placements()[1] == Placement(
        path="/shelf/shelf", position=2, page=1, page_size=2, category_ids=["shoes"]
    )


@pytest.mark.parametrize(("query", "said"), [("%20sandal%20", "sandal"), ("", None), ("%20", None)])
def test_search_is_in_each_event(client: APIClient, query: str, said: str | None) -> None:
    client.get(f"/products/?search={query}")

    placements = get_placements()
    assert placements
    assert {getattr(placement, "search_query", None) for placement in placements} == {said}


def test_search_that_is_too_long_costs_no_event(client: APIClient, drops: list[object]) -> None:
    class Unsearched(Products):
        search_fields = []

    request = APIRequestFactory().get("/x/", {"search": "x" * 5000}, headers=BROWSER)
    assert Unsearched.as_view()(request).status_code == 200

    assert len(outbox) == 4
    assert getattr(get_placements()[0], "search_query", None) == "x" * 2048
    assert drops == []


def test_sponsored_objects_have_their_bids(client: APIClient, products: dict[str, Product]) -> None:
    client.get("/sponsored/")

    assert get_shown()[0] == ("bid-of-a-shoe", 1)
    assert get_shown()[1:] == get_places(products, "shoe", "boot", "sandal", "slipper")[1:]


def test_objects_may_be_dicts_that_show_a_product(client: APIClient) -> None:
    client.get("/offers/")

    assert get_shown() == [("bid-1", 1), ("shoe-2", 2), ("shoe-3", 3)]


def test_product_has_the_id_that_the_shop_says(client: APIClient) -> None:
    with override_settings(TOPSORT_PRODUCT_ID=lambda product: f"sku-{product.name}"):
        client.get("/products/")

    assert get_shown()[0] == ("sku-shoe", 1)


@pytest.mark.parametrize("url", ["seen", "forbidden", "failing"])
def test_list_that_nobody_sees_reports_nothing(
    client: APIClient, url: str, drops: list[Any]
) -> None:
    client.get(f"/{url}/")

    assert outbox == []
    assert drops == []


@override_settings(TOPSORT_USER_HEADER=True)
def test_list_that_the_client_reports_says_who_it_is(client: APIClient) -> None:
    first = client.get("/seen/")

    signed = first[USER_HEADER]
    assert read_shopper(signed) == first.cookies["tsuid"].value
    again = APIClient(headers={**BROWSER, USER_HEADER.lower(): signed}).get("/seen/")
    assert read_shopper(again[USER_HEADER]) == read_shopper(signed)
    assert outbox == []


@pytest.mark.parametrize(
    "hooks",
    [
        {"TOPSORT_USER_HEADER": False},
        {"TOPSORT_CONSENT": lambda r: False},
        {"TOPSORT_IGNORE_REQUEST": lambda r: True},
    ],
)
def test_list_that_the_client_reports_names_nobody_without_need(
    client: APIClient, hooks: dict[str, Any]
) -> None:
    with override_settings(**{"TOPSORT_USER_HEADER": True, **hooks}):
        response = client.get("/seen/")

    assert USER_HEADER not in response
    assert not response.cookies
    assert "Cache-Control" not in response


@override_settings(TOPSORT_USER_HEADER=True)
def test_list_that_the_client_reports_stands_a_hook_that_raises(
    client: APIClient, drops: list[Any]
) -> None:
    def fail(request: HttpRequest) -> bool:
        raise ZeroDivisionError

    with override_settings(TOPSORT_CONSENT=fail):
        assert len(client.get("/seen/").json()) == 4
        with override_settings(TOPSORT_STRICT=True), pytest.raises(ZeroDivisionError):
            client.get("/seen/")
    assert drops == []


def test_list_without_objects_reports_nothing(client: APIClient) -> None:
    Product.objects.all().delete()

    assert client.get("/paged/").json()["results"] == []
    assert outbox == []


@pytest.mark.parametrize(
    "hooks",
    [{"TOPSORT_CONSENT": lambda r: False}, {"TOPSORT_IGNORE_REQUEST": lambda r: True}],
)
def test_list_reports_nothing_where_nothing_is_reported(
    client: APIClient, hooks: dict[str, Any]
) -> None:
    with override_settings(**hooks):
        response = client.get("/products/")

    assert len(response.json()) == 4
    assert outbox == []
    assert not response.cookies


@pytest.mark.parametrize(
    ("url", "drop", "error"),
    [
        ("misspelt", ("impressions", "invalid", 1), InvalidEvent),
        ("misplaced", ("impressions", "invalid", 1), ZeroDivisionError),
        ("broken", ("impressions", "invalid", 1), ZeroDivisionError),
    ],
)
def test_wrong_view_breaks_no_api(
    client: APIClient,
    url: str,
    drop: tuple[str, str, int],
    error: type[Exception],
    drops: list[tuple[str, str, int]],
) -> None:
    response = client.get(f"/{url}/")

    assert len(response.json()) == 4
    assert drops == [drop]
    assert len(outbox) == (3 if url == "broken" else 0)
    with override_settings(TOPSORT_STRICT=True), pytest.raises(error):
        client.get(f"/{url}/")


def test_wrong_placement_breaks_no_api(
    client: APIClient, monkeypatch: pytest.MonkeyPatch, drops: list[Any]
) -> None:
    monkeypatch.setattr(Shelf, "topsort_placement", {"page_size": 0, "colour": "red"})

    assert client.get("/shelf/").status_code == 200
    assert outbox == []
    assert drops == [("impressions", "invalid", 1)] * 2


@override_settings(INSTALLED_APPS=[*settings.INSTALLED_APPS, "rest_framework"])
def test_browsable_api_reports_the_list_once(client: APIClient) -> None:
    response = client.get("/paged/", headers={"accept": "text/html"})

    assert response["Content-Type"].startswith("text/html")
    assert len(outbox) == 2


def test_request_of_drf_is_as_good_as_djangos() -> None:
    request = Request(APIRequestFactory().get("/x/", headers=BROWSER))

    page = track_pageview(request)
    again = track_pageview(request)

    assert page is not None
    assert again is not None
    assert page.page.page_id == "/x/"
    assert page.opaque_user_id == again.opaque_user_id


def test_hook_of_the_shop_knows_whom_drf_has_authenticated() -> None:
    def get_customer(request: HttpRequest) -> str:
        return f"customer-{getattr(request, 'auth', None)}"

    class Authentication:
        def authenticate(self, request: Request) -> tuple[object, str]:
            return object(), "token-1"

        def authenticate_header(self, request: Request) -> None:
            """Say nothing."""

    view = Products.as_view(authentication_classes=[Authentication])
    with override_settings(TOPSORT_USER_ID=get_customer):
        view(APIRequestFactory().get("/x/", headers=BROWSER))

    assert {event.opaque_user_id for event in outbox} == {"customer-token-1"}


def test_bid_is_found_as_an_attribute_and_as_a_key(client: APIClient) -> None:
    view = Products()

    assert view.get_resolved_bid_id({"resolved_bid_id": "bid"}) == "bid"
    assert view.get_resolved_bid_id({}) is None
    assert view.get_resolved_bid_id(Entity(id="x", type="product")) is None
