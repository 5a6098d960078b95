"""What is reported of orders that come by Salesman's own checkout, and when."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client, RequestFactory
from django.utils.dateparse import parse_datetime
from salesman.basket.models import Basket
from salesman.orders.models import Order

from django_topsort.outbox.models import OutboxEvent
from django_topsort.testing import FakeApi, capture_events
from tests.shops.salesman.models import Product, Variant
from tests.shops.salesman.shopping import Shopper, get_items, get_purchases, tell_webhook

pytestmark = pytest.mark.usefixtures("requests")


def change_status(ref: str, status: str) -> Client:
    """Change it as a clerk does, in the admin; the clerk's browser has an id of its own."""
    clerk, _ = User.objects.get_or_create(username="clerk", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(clerk)
    assert client.get("/").status_code == 200
    order = Order.objects.get(ref=ref)
    body: dict[str, object] = {"status": status}
    for prefix, rows in (("items", order.items), ("payments", order.payments), ("notes", None)):
        count = rows.count() if prefix == "items" and rows is not None else 0
        body |= {f"{prefix}-TOTAL_FORMS": count, f"{prefix}-INITIAL_FORMS": count}
        for nth in range(count):
            body[f"{prefix}-{nth}-id"] = rows.all()[nth].pk  # type: ignore[union-attr]  # counted
            body[f"{prefix}-{nth}-order"] = order.pk
    answer = client.post(f"/admin/salesmanorders/order/{order.pk}/change/", body)
    assert answer.status_code == 302, answer.content
    assert Order.objects.get(ref=ref).status == status
    return client


def buy(shopper: Shopper, product: Any, method: str, quantity: int = 1) -> dict[str, Any]:
    shopper.add(product, quantity)
    return shopper.check_out(method)


def test_guest_who_pays_on_delivery_is_reported_once(
    api: FakeApi, shopper: Shopper, teapot: Product
) -> None:
    found = buy(shopper, teapot, "pay-on-delivery", 2)

    (purchase,) = get_purchases(api)
    order = Order.objects.get()
    assert purchase["id"] == found["ref"] == order.ref
    assert purchase["opaqueUserId"] == shopper.id
    assert parse_datetime(purchase["occurredAt"]) == order.date_created
    assert purchase["deviceType"] == "desktop"
    assert get_items(purchase) == [("teapot", 2, 15)]


def test_customer_is_reported(api: FakeApi, teapot: Product) -> None:
    customer = Shopper(User.objects.create(username="ada"))
    customer.look_around()

    buy(customer, teapot, "pay-on-delivery")

    (purchase,) = get_purchases(api)
    assert purchase["opaqueUserId"] == customer.id
    assert Order.objects.get().user is not None


def test_order_that_waits_for_its_payment_is_not_reported(
    api: FakeApi, shopper: Shopper, teapot: Product
) -> None:
    buy(shopper, teapot, "pay-in-advance")
    buy(shopper, teapot, "pay-later")
    buy(shopper, teapot, "credit-card")

    assert get_purchases(api) == []
    assert not OutboxEvent.objects.exists()


def test_clerk_who_changes_the_status_is_not_the_shopper(
    api: FakeApi, shopper: Shopper, teapot: Product
) -> None:
    found = buy(shopper, teapot, "pay-in-advance")

    clerk = change_status(found["ref"], "PROCESSING")

    (purchase,) = get_purchases(api)
    assert purchase["opaqueUserId"] == shopper.id != clerk.cookies["tsuid"].value


def test_status_that_goes_on_is_not_reported_again(
    api: FakeApi, shopper: Shopper, teapot: Product, drops: list[object]
) -> None:
    found = buy(shopper, teapot, "pay-in-advance")
    for status in ("PROCESSING", "SHIPPED", "COMPLETED"):
        change_status(found["ref"], status)

    assert len(get_purchases(api)) == 1
    assert drops == []


def test_old_order_is_not_sent_again_when_a_clerk_looks_after_it(
    api: FakeApi, shopper: Shopper, teapot: Product, drops: list[object]
) -> None:
    found = buy(shopper, teapot, "pay-on-delivery")
    assert len(get_purchases(api)) == 1
    OutboxEvent.objects.all().delete()  # what has been delivered is kept for some days

    change_status(found["ref"], "COMPLETED")
    change_status(found["ref"], "COMPLETED")
    Order.objects.get().pay(20, "in cash")

    assert len(get_purchases(api)) == 1
    assert drops == []
    assert not OutboxEvent.objects.exists()


def test_webhook_without_cookies_reports_the_shopper(
    api: FakeApi, shopper: Shopper, teapot: Product
) -> None:
    found = buy(shopper, teapot, "credit-card")

    assert tell_webhook("credit-card/webhook", ref=found["ref"], id="t-1") == "PROCESSING"

    (purchase,) = get_purchases(api)
    assert purchase["opaqueUserId"] == shopper.id
    assert get_items(purchase) == [("teapot", 1, 15)]


def test_webhook_that_is_repeated_reports_nothing_more(
    api: FakeApi, shopper: Shopper, teapot: Product, drops: list[object]
) -> None:
    found = buy(shopper, teapot, "credit-card")
    for _ in range(3):
        tell_webhook("credit-card/webhook", ref=found["ref"], id="t-1")

    assert len(get_purchases(api)) == 1
    assert sum("purchase" in request.verdict for request in api.requests) == 1
    assert drops == []


def test_order_that_a_webhook_makes_of_the_basket_has_its_shopper(
    api: FakeApi, shopper: Shopper, teapot: Product, drops: list[object]
) -> None:
    found = buy(shopper, teapot, "hosted-page")

    ref = tell_webhook("hosted-page/webhook", basket=found["basket"], id="t-1")

    (purchase,) = get_purchases(api)
    assert (purchase["id"], purchase["opaqueUserId"]) == (ref, shopper.id)
    assert drops == []


def test_three_for_two_is_reported_at_what_is_charged(
    api: FakeApi, shopper: Shopper, teapot: Product
) -> None:
    found = buy(shopper, teapot, "pay-on-delivery", 3)

    (purchase,) = get_purchases(api)
    assert shopper.get_order(found)["total"] == "35.00"  # with the shipping, which is no item
    assert get_items(purchase) == [("teapot", 3, 10)]


def test_free_sample_is_no_item(
    api: FakeApi, shopper: Shopper, teapot: Product, sample: Product
) -> None:
    shopper.add(sample)
    buy(shopper, teapot, "pay-on-delivery")

    (purchase,) = get_purchases(api)
    assert get_items(purchase) == [("teapot", 1, 15)]


def test_products_of_two_models_keep_apart(
    api: FakeApi, shopper: Shopper, teapot: Product, large: Variant
) -> None:
    assert teapot.pk == large.pk
    shopper.add(large)
    buy(shopper, teapot, "pay-on-delivery")

    (purchase,) = get_purchases(api)
    assert get_items(purchase) == [("teapot", 1, 15), ("teapot-large", 1, 20)]


def test_instalments_are_reported_when_the_last_is_there(
    api: FakeApi, shopper: Shopper, teapot: Product, drops: list[object]
) -> None:
    ref = buy(shopper, teapot, "pay-later")["ref"]

    tell_webhook("pay-later/instalment", ref=ref, id="t-1", amount="5.00")
    tell_webhook("pay-later/instalment", ref=ref, id="t-2", amount="14.99")
    assert get_purchases(api) == []
    status = tell_webhook("pay-later/instalment", ref=ref, id="t-3", amount="0.01")

    (purchase,) = get_purchases(api)
    assert status == "CREATED"
    assert purchase["opaqueUserId"] == shopper.id
    change_status(ref, "PROCESSING")
    assert len(get_purchases(api)) == 1
    assert drops == []


def test_order_that_is_rolled_back_is_not_reported(
    api: FakeApi, shopper: Shopper, teapot: Product
) -> None:
    shopper.add(teapot)

    assert shopper.try_checkout("refusing").status_code == 402

    assert not Order.objects.exists()
    assert get_purchases(api) == []
    assert not OutboxEvent.objects.exists()


def test_next_order_has_the_number_of_the_one_that_was_rolled_back(
    api: FakeApi, shopper: Shopper, teapot: Product
) -> None:
    shopper.add(teapot)
    shopper.try_checkout("refusing")
    other = Shopper()
    other.look_around()

    buy(other, teapot, "pay-on-delivery")

    (purchase,) = get_purchases(api)
    assert purchase["opaqueUserId"] == other.id


def test_cancelled_order_that_was_paid_is_not_reported(
    api: FakeApi, shopper: Shopper, teapot: Product
) -> None:
    ref = buy(shopper, teapot, "pay-later")["ref"]
    change_status(ref, "CANCELLED")

    tell_webhook("pay-later/instalment", ref=ref, id="t-1", amount="20.00")

    assert get_purchases(api) == []


def test_order_that_has_its_status_before_its_lines_is_reported_with_them(
    api: FakeApi, shopper: Shopper, teapot: Product, drops: list[object]
) -> None:
    shopper.add(teapot)
    basket = Basket.objects.get(pk=shopper.check_out("hosted-page")["basket"])
    request = RequestFactory().get("/")

    order = Order.objects.create_from_request(request, status="PROCESSING")
    order.populate_from_basket(basket, request)

    (purchase,) = get_purchases(api)
    assert get_items(purchase) == [("teapot", 1, 15)]
    assert purchase["opaqueUserId"] == shopper.id
    assert drops == []


def test_order_of_which_nothing_was_charged_is_not_reported(
    api: FakeApi, shopper: Shopper, sample: Product, drops: list[object]
) -> None:
    buy(shopper, sample, "pay-on-delivery")
    buy(shopper, sample, "credit-card")

    assert get_purchases(api) == []
    assert drops == []


def test_orders_of_one_transaction_are_all_reported(
    api: FakeApi, shopper: Shopper, teapot: Product, drops: list[object]
) -> None:
    refs = [buy(shopper, teapot, "pay-in-advance")["ref"] for _ in range(3)]

    with transaction.atomic():
        for order in Order.objects.filter(status="HOLD"):
            order.pay(order.total, f"t-{order.pk}")
            order.status = "PROCESSING"
            order.save()
            order.save()
        assert OutboxEvent.objects.count() == 3

    assert sorted(purchase["id"] for purchase in get_purchases(api)) == sorted(refs)
    assert drops == []


def test_order_is_reported_although_it_was_rolled_back_before(
    api: FakeApi, shopper: Shopper, teapot: Product
) -> None:
    buy(shopper, teapot, "pay-in-advance")
    order = Order.objects.get()
    order.status = "PROCESSING"

    with transaction.atomic():
        first = transaction.savepoint()
        order.save()
        transaction.savepoint_rollback(first)
        order.save()

    assert len(get_purchases(api)) == 1


def test_test_case_of_the_shop_sees_the_purchase(shopper: Shopper, teapot: Product) -> None:
    with capture_events() as events:
        found = buy(shopper, teapot, "pay-on-delivery")

    assert [purchase.id for purchase in events.purchases] == [found["ref"]]


def test_capture_sees_an_order_once_however_often_a_transaction_saves_it(
    shopper: Shopper, teapot: Product
) -> None:
    buy(shopper, teapot, "pay-in-advance")
    order = Order.objects.get()

    with capture_events() as events, transaction.atomic():
        order.status = "PROCESSING"
        order.save()
        order.save()

    assert [purchase.id for purchase in events.purchases] == [order.ref]


def test_order_without_a_price_is_not_bought_because_nothing_was_paid(
    api: FakeApi, shopper: Shopper, teapot: Product
) -> None:
    ref = buy(shopper, teapot, "pay-later")["ref"]
    Order.objects.update(total=0)

    tell_webhook("pay-later/instalment", ref=ref, id="t-1", amount="0")

    assert get_purchases(api) == []
