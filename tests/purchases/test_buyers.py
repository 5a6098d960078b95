from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection, transaction
from django.http import HttpRequest
from django.test import RequestFactory, override_settings
from django.utils.functional import SimpleLazyObject
from pytest_django import Settings

from django_topsort.events import Purchase, PurchaseItem
from django_topsort.outbox.models import RememberedShopper
from django_topsort.purchases.buyers import (
    Buyer,
    find_buyer,
    get_order_key,
    get_remembered_buyer,
    get_request_buyer,
    has_refused,
    remember_buyer,
    remember_refusal,
)
from django_topsort.purchases.reader import OrderReader
from django_topsort.purchases.snapshot import OrderSnapshot
from django_topsort.shoppers import sign_shopper
from tests.purchases.shapes import PLACED_AT
from tests.shop.models import Order

PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148"
BROKEN_CACHE = {"default": {"BACKEND": "tests.purchases.test_buyers.BrokenCache"}}


class BrokenCache:
    """A cache whose server does not answer."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        self.location = location

    def get(self, key: str) -> None:
        raise ConnectionError(self.location)

    def set(self, key: str, value: object, timeout: int) -> None:
        raise ConnectionError(self.location)

    def clear(self) -> None:
        """Have nothing to forget."""

    def close(self) -> None:
        """Have nothing to close."""


def visit(cookie: str | None = "cookie-id", user: Any = None, **headers: Any) -> HttpRequest:
    request = RequestFactory().get("/checkout/thanks/", headers=headers)
    if cookie is not None:
        request.COOKIES["tsuid"] = cookie
    request.user = user or AnonymousUser()
    return request


def order_of(number: Any = "1001", **more: Any) -> SimpleNamespace:
    return SimpleNamespace(number=number, **more)


def remembered(opaque_user_id: str, device_type: Any = None, channel: Any = None) -> Buyer:
    return Buyer(
        opaque_user_id=opaque_user_id, device_type=device_type, channel=channel, source="remembered"
    )


@pytest.fixture
def _only_cache(settings: Settings) -> None:
    settings.INSTALLED_APPS = [
        app for app in settings.INSTALLED_APPS if app != "django_topsort.outbox"
    ]


@pytest.fixture
def _no_table(db: None) -> None:
    """Leave the app installed and its table missing, as before the first migrate."""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {RememberedShopper._meta.db_table}")


# --- Under which key ---


@pytest.mark.parametrize(
    ("order_or_key", "key"),
    [
        ("1001", "1001"),
        (" 1001 ", "1001"),
        (1001, "1001"),
        (UUID(int=1), str(UUID(int=1))),
        (order_of(1001), "1001"),
        ({"number": "1001"}, "1001"),
        (Order(pk=5, number="1001"), "1001"),
        (Order(pk=5, number=""), ""),
        ("", ""),
        (order_of(None), ""),
    ],
)
def test_order_key_is_the_number_alone(order_or_key: Any, key: str) -> None:
    assert get_order_key(order_or_key) == key


def test_order_key_comes_from_the_reader(settings: Settings) -> None:
    class Reader(OrderReader):
        def get_key(self, order: Any) -> str:
            return f"tickets/{order.number}"

    settings.TOPSORT_ORDER_READER = Reader
    assert get_order_key(order_of()) == "tickets/1001"
    # A reader that is a function reads whole orders; the key is found without it.
    settings.TOPSORT_ORDER_READER = lambda order: 1 / 0
    assert get_order_key(order_of()) == "1001"


def test_order_key_that_is_too_long_is_digested() -> None:
    assert get_order_key("x" * 255) == "x" * 255
    assert len(get_order_key("x" * 256)) == 64
    assert get_order_key("x" * 256) != get_order_key("x" * 257)


# --- Remembering ---


@pytest.mark.django_db
def test_buyer_remembered_by_number_is_found_by_the_order() -> None:
    assert remember_buyer("1001", "shopper", device_type="mobile", channel="onsite")
    for order in (order_of("1001"), order_of(1001), Order(number="1001"), "1001", 1001):
        assert get_remembered_buyer(order) == remembered("shopper", "mobile", "onsite")
    assert get_remembered_buyer(order_of("1002")) is None
    assert get_remembered_buyer(order_of("")) is None


@pytest.mark.django_db
def test_buyer_remembered_by_order_is_found_after_a_fresh_read() -> None:
    order = Order.objects.create(number="1001", date_placed=PLACED_AT)
    order.number = 1001  # an int in memory, text in the database
    assert remember_buyer(order, "shopper")
    assert get_remembered_buyer(Order.objects.get()) == remembered("shopper")


@pytest.mark.django_db
def test_buyer_remembered_again_replaces_the_first() -> None:
    remember_buyer("1001", "first", device_type="mobile")
    remember_buyer("1001", "second", channel="instore")
    assert get_remembered_buyer("1001") == remembered("second", None, "instore")
    row = RememberedShopper.objects.get()
    assert str(row) == row.order_key == "1001"


@pytest.mark.django_db
@pytest.mark.parametrize("opaque_user_id", ["", "x" * 65])
def test_buyer_with_an_id_that_topsort_cannot_link_is_not_remembered(
    caplog: pytest.LogCaptureFixture, opaque_user_id: str
) -> None:
    assert not remember_buyer("1001", opaque_user_id)
    assert get_remembered_buyer("1001") is None
    [message] = caplog.messages
    assert message == (
        f"shopper not remembered: order=1001 reason=invalid_id length={len(opaque_user_id)},"
        " it must have 1 to 64 characters"
    )


def test_buyer_of_an_order_without_a_number_is_not_remembered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert not remember_buyer(order_of(""), "shopper")
    assert caplog.messages == ["shopper not remembered: type=SimpleNamespace reason=no_number"]


@pytest.mark.django_db
def test_buyer_is_rolled_back_with_the_order() -> None:
    with transaction.atomic():
        remember_buyer("1001", "shopper")
        assert get_remembered_buyer("1001") == remembered("shopper")
        transaction.set_rollback(True)
    assert get_remembered_buyer("1001") is None


@pytest.mark.usefixtures("_only_cache")
def test_buyer_is_in_the_cache_where_the_outbox_is_not_installed() -> None:
    assert remember_buyer("10 01\u20ac" + "x" * 240, "shopper", device_type="desktop")
    assert get_remembered_buyer("10 01\u20ac" + "x" * 240) == remembered("shopper", "desktop")
    assert get_remembered_buyer("1002") is None


@pytest.mark.usefixtures("_only_cache")
@pytest.mark.parametrize(("seconds", "is_kept"), [(60, True), ("a week", True), (0, False)])
def test_cache_keeps_a_buyer_for_as_long_as_the_outbox_would(
    settings: Settings, seconds: object, is_kept: bool
) -> None:
    settings.TOPSORT_OUTBOX_KEEP_SHOPPERS = seconds

    assert remember_buyer("1001", "u-1")

    assert (get_remembered_buyer("1001") is not None) is is_kept


@pytest.mark.usefixtures("_only_cache")
def test_refusal_is_in_the_cache_where_the_outbox_is_not_installed() -> None:
    remember_refusal("1001")
    assert has_refused(order_of())
    assert get_remembered_buyer("1001") is None


@pytest.mark.usefixtures("_only_cache")
def test_log_of_a_buyer_who_is_not_remembered_has_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert not remember_buyer("1\nERROR forged", "s" * 65)
    assert "order=1?ERROR forged reason=invalid_id" in caplog.text


@pytest.mark.usefixtures("_only_cache")
def test_broken_cache_breaks_no_checkout(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CACHES = BROKEN_CACHE
    assert not remember_buyer("1001", "shopper")
    assert get_remembered_buyer("1001") is None
    assert caplog.messages == [
        "shopper not kept in the cache: order=1001",
        "shopper not read from the cache: order=1001",
    ]
    assert "shopper-" not in caplog.text


@pytest.mark.skipif(
    not connection.features.can_rollback_ddl, reason="the table would be gone for other tests too"
)
@pytest.mark.usefixtures("_no_table")
def test_missing_table_breaks_no_checkout(caplog: pytest.LogCaptureFixture) -> None:
    with transaction.atomic():
        assert remember_buyer("1001", "opaque-shopper")
        order = Order.objects.create(number="1001", date_placed=PLACED_AT)
        assert get_remembered_buyer(order) == remembered("opaque-shopper")
    assert Order.objects.get() == order
    assert [record.message for record in caplog.records] == [
        "shopper not kept in the outbox: order=1001; is it migrated?",
        "shopper not read from the outbox: order=1001; is it migrated?",
    ]
    assert "opaque-shopper" not in caplog.text


@pytest.mark.django_db
def test_broken_transaction_is_left_to_its_owner(caplog: pytest.LogCaptureFixture) -> None:
    with transaction.atomic():
        transaction.set_rollback(True)
        assert remember_buyer("1001", "shopper")
        transaction.set_rollback(True)
    assert "shopper not kept in the outbox: order=1001; is it migrated?" in caplog.messages
    assert not RememberedShopper.objects.exists()


@pytest.mark.django_db
def test_buyer_cached_before_the_outbox_came_is_still_found(settings: Settings) -> None:
    apps = settings.INSTALLED_APPS
    settings.INSTALLED_APPS = [app for app in apps if app != "django_topsort.outbox"]
    remember_buyer("1001", "shopper")
    settings.INSTALLED_APPS = apps
    assert get_remembered_buyer("1001") == remembered("shopper")


# --- The request ---


def test_request_buyer_is_the_shopper_who_brought_the_cookie() -> None:
    request = visit(**{"user-agent": PHONE})
    expected = Buyer(
        opaque_user_id="cookie-id", device_type="mobile", channel="onsite", source="request"
    )
    assert get_request_buyer(request) == expected
    assert get_request_buyer(request, "1001") == expected
    assert get_request_buyer(request, order_of(user=None)) == expected


def test_request_buyer_is_never_one_whose_id_was_made_in_this_request() -> None:
    assert get_request_buyer(visit(cookie=None)) is None
    assert get_request_buyer(visit(cookie="<malformed>")) is None


def test_request_buyer_may_come_from_the_hook(settings: Settings) -> None:
    settings.TOPSORT_USER_ID = lambda request: "hashed-customer"
    buyer = get_request_buyer(visit(cookie=None))
    assert buyer is not None
    assert buyer.opaque_user_id == "hashed-customer"


def test_request_buyer_is_no_member_of_the_staff() -> None:
    clerk = User(pk=1, is_staff=True)
    hijacked = User(pk=2)
    hijacked.is_hijacked = True  # type: ignore[attr-defined]  # django-hijack's
    assert get_request_buyer(visit(user=hijacked)) is None
    assert get_request_buyer(visit(user=clerk)) is None
    assert get_request_buyer(visit(user=clerk), order_of(user=clerk)) is None


def test_request_buyer_is_nobody_without_consent(settings: Settings) -> None:
    settings.TOPSORT_CONSENT = lambda request: False
    assert get_request_buyer(visit()) is None


@pytest.mark.parametrize(
    ("owner", "user", "own"),
    [
        (None, User(pk=4), True),
        (None, None, True),
        (User(pk=4), User(pk=4), True),
        (User(pk=4), SimpleLazyObject(lambda: User(pk=4)), True),
        (User(pk=4), User(pk=5), False),
        (User(pk=4), None, False),  # such as a webhook
        (4, User(pk=4), True),
        ("4", User(pk=4), True),
        (4, User(pk=5), False),
        (4, None, False),
    ],
)
def test_request_buyer_is_the_orders_own_account(owner: Any, user: Any, own: bool) -> None:
    buyer = get_request_buyer(visit(user=user), order_of(user=owner))
    assert (buyer is not None) is own


def test_request_buyer_needs_no_authentication() -> None:
    request = visit()
    del request.user
    assert get_request_buyer(request, order_of(user=None)) is not None
    assert get_request_buyer(request, order_of(user=User(pk=4))) is None


# --- The order of preference ---


@pytest.mark.django_db
def test_buyer_is_found_in_the_order_of_preference() -> None:
    order = order_of(topsort_user_id="kept", topsort_device_type="desktop", user=None)
    remember_buyer(order, "remembered", device_type="mobile", channel="instore")
    request = visit()

    buyer = find_buyer(order, request, opaque_user_id="given")
    assert buyer == Buyer(
        opaque_user_id="given", device_type="desktop", channel="onsite", source="argument"
    )
    assert find_buyer(order, request) == Buyer(
        opaque_user_id="kept", device_type="desktop", source="order"
    )
    order.topsort_user_id = None
    assert find_buyer(order, request) == remembered("remembered", "mobile", "instore")
    RememberedShopper.objects.all().delete()
    assert find_buyer(order, request) == Buyer(
        opaque_user_id="cookie-id", device_type="desktop", channel="onsite", source="request"
    )
    assert find_buyer(order) is None


def test_given_buyer_has_no_device_without_the_shoppers_request() -> None:
    expected = Buyer(opaque_user_id="given", source="argument")
    assert find_buyer(order_of(), opaque_user_id="given") == expected
    assert find_buyer(order_of(), visit(cookie=None), opaque_user_id="given") == expected


@pytest.mark.django_db
def test_webhook_finds_the_remembered_buyer_and_invents_none() -> None:
    webhook = visit(cookie=None)
    assert find_buyer(order_of(), webhook) is None
    remember_buyer("1001", "shopper")
    assert find_buyer(order_of(user=User(pk=4)), webhook) == remembered("shopper")


@pytest.mark.django_db
def test_clerk_is_never_the_buyer() -> None:
    clerk = visit(cookie="clerks-id", user=User(pk=1, is_staff=True))
    assert find_buyer(order_of(user=None), clerk) is None
    remember_buyer("1001", "shopper")
    assert find_buyer(order_of(user=None), clerk) == remembered("shopper")


@pytest.mark.django_db
def test_buyer_comes_from_a_reader_that_is_a_function(settings: Settings) -> None:
    snapshot = OrderSnapshot(
        key="7", placed_at=None, lines=(), opaque_user_id="kept", channel="instore"
    )
    settings.TOPSORT_ORDER_READER = lambda order: snapshot
    assert find_buyer(order_of()) == Buyer(opaque_user_id="kept", channel="instore", source="order")
    item = PurchaseItem(product_id="P", unit_price=1)  # type: ignore[arg-type]
    settings.TOPSORT_ORDER_READER = lambda order: Purchase(opaque_user_id="own", items=[item])
    assert find_buyer(order_of()) == Buyer(opaque_user_id="own", source="order")


@pytest.mark.django_db
def test_buyer_is_found_while_a_function_cannot_read_the_order_yet(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    def read(order: Any) -> None:
        raise LookupError("no lines yet")

    settings.TOPSORT_ORDER_READER = read
    remember_buyer("1001", "shopper")
    with caplog.at_level(logging.DEBUG, "django_topsort"):
        assert find_buyer(order_of()) == remembered("shopper")
    assert caplog.messages == ["order not readable yet: type=SimpleNamespace"]
    settings.TOPSORT_ORDER_READER = lambda order: None
    assert find_buyer(order_of(topsort_user_id="kept")) == Buyer(
        opaque_user_id="kept", source="order"
    )


@pytest.mark.django_db
def test_refusal_of_an_order_without_a_number_is_not_kept() -> None:
    remember_refusal("")

    assert not RememberedShopper.objects.exists()


@override_settings(TOPSORT_USER_HEADER=True)
def test_shopper_by_the_header_is_as_good_as_by_the_cookie() -> None:
    buyer = get_request_buyer(visit(cookie=None, x_topsort_user=sign_shopper("app-user")))

    assert buyer is not None
    assert buyer.opaque_user_id == "app-user"
    assert get_request_buyer(visit(cookie=None, x_topsort_user="forged")) is None


@pytest.mark.django_db
@override_settings(TOPSORT_USER_HEADER=True, TOPSORT_CONSENT=lambda request: False)
def test_refusal_of_a_client_with_the_header_is_the_shoppers_own() -> None:
    assert has_refused("1001", visit(cookie=None, x_topsort_user=sign_shopper("app-user")))
    # A bank, whose server says nothing.
    assert not has_refused("1001", visit(cookie=None))
    assert not has_refused("1001", visit(cookie=None, x_topsort_user="forged"))
