"""From a paid order to the purchase: commits, rollbacks, and everything that may go wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import path

from django_topsort import offloop
from django_topsort.accounts import accounts
from django_topsort.backends.locmem import outbox
from django_topsort.collector import Collector
from django_topsort.delivery import deliver_safely
from django_topsort.events import Purchase, PurchaseItem
from django_topsort.offloop import off_loop
from django_topsort.orders import remember_shopper
from django_topsort.purchases.reader import OrderReader
from django_topsort.purchases.snapshot import LineSnapshot, OrderSnapshot
from django_topsort.signals import order_paid, order_placed
from django_topsort.tracking import track_purchase
from django_topsort.wire import EventsRequest, encode_request
from tests.orders import PLACED, place_order
from tests.shop.models import Order

SHOPPER = "0190d8f2-0000-7000-8000-000000000000"
BROWSER = {"user-agent": "Mozilla/5.0 Firefox/140.0"}

both_databases = pytest.mark.django_db(transaction=True, databases=["default", "other"])
pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]


def checkout(request: HttpRequest) -> HttpResponse:
    """Place an order and pay it at once, as a view of a shop does."""
    with transaction.atomic():
        order = place_order()
        order_placed.send(sender=Order, order=order, request=request)
        order_paid.send(sender=Order, order=order, request=request)
        assert outbox == []
        if "raise-inside" in request.GET:
            raise ZeroDivisionError
    if "raise" in request.GET:
        raise ZeroDivisionError
    return HttpResponse("thanks")


def pay(request: HttpRequest) -> HttpResponse:
    """Hear from the bank, or from a clerk, that an order is paid."""
    order_paid.send(sender=Order, order=Order.objects.get(), request=request)
    return HttpResponse("ok")


async def pay_async(request: HttpRequest) -> HttpResponse:
    order = await Order.objects.aget()
    await order_paid.asend(sender=Order, order=order, request=request)
    return HttpResponse("ok")


async def place_by_send(request: HttpRequest) -> HttpResponse:
    order = await Order.objects.aget()
    order_placed.send(sender=Order, order=order, request=request)
    return HttpResponse("ok")


async def pay_by_send(request: HttpRequest) -> HttpResponse:
    order = await Order.objects.aget()
    order_paid.send(sender=Order, order=order, request=request)
    return HttpResponse("ok")


urlpatterns = [
    path("place-async/", place_by_send),
    path("pay-by-send/", pay_by_send),
    path("checkout/", checkout),
    path("pay/", pay),
    path("pay-async/", pay_async),
]


@pytest.fixture
def client() -> Client:
    client = Client(headers=BROWSER, raise_request_exception=False)
    client.cookies["tsuid"] = SHOPPER
    return client


@pytest.fixture
async def orm_thread() -> AsyncIterator[None]:
    """Close the connections of the thread in which async code uses the ORM."""
    yield
    # A server with real connections would not let the database of the tests go.
    await sync_to_async(connections.close_all)()


@pytest.fixture
def atomic_requests() -> Iterator[None]:
    """Let each view run in a transaction, as ATOMIC_REQUESTS does."""
    connection = connections["default"]
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    yield
    connection.settings_dict["ATOMIC_REQUESTS"] = False


def build_request(**cookies: str) -> HttpRequest:
    factory = RequestFactory(headers=BROWSER)
    for name, value in cookies.items():
        factory.cookies[name] = value
    return factory.get("/pay/")


def get_purchases() -> list[Purchase]:
    return [event for event in outbox if isinstance(event, Purchase)]


def test_paid_order_is_a_purchase(client: Client) -> None:
    assert client.get("/checkout/").content == b"thanks"

    assert outbox == [
        Purchase(
            id="1001",
            occurred_at=PLACED,
            opaque_user_id=SHOPPER,
            device_type="desktop",
            channel="onsite",
            items=[
                PurchaseItem(product_id="hat-1", unit_price=Decimal("19.95"), quantity=1),
                PurchaseItem(
                    product_id="shoe-1", unit_price=Decimal("29.95"), quantity=2, vendor_id="7"
                ),
            ],
        )
    ]


@pytest.mark.parametrize(
    ("backend", "held"),
    [
        ("django_topsort.backends.locmem.EventBackend", 0),
        ("django_topsort.backends.filebased.EventBackend", 1),
        ("no.such.Backend", 0),
    ],
)
def test_purchase_waits_for_its_page_only_where_its_backend_blocks(
    settings: Any, backend: str, held: int
) -> None:
    """A server may break a page off, and the order is committed by then."""
    settings.TOPSORT_BACKENDS = {"default": backend}
    request = build_request(tsuid=SHOPPER)
    collector = Collector(deliver_safely)
    request.topsort = collector  # type: ignore[attr-defined]  # as the middleware does
    before = accounts.get_counts()["purchases"]["recorded"]

    track_purchase(place_order(), request)

    assert len(collector) == held
    assert accounts.get_counts()["purchases"]["recorded"] - before == 1 - held
    collector.deliver = list  # type: ignore[assignment]  # the file is not wanted


class Lost:
    """A router that does not know where orders are."""

    def db_for_write(self, model: object, **hints: object) -> str:
        raise LookupError("no shard for this order")


def test_order_of_which_nobody_knows_the_database_breaks_no_checkout(
    settings: Any, drops: list[tuple[str, str, int]], caplog: pytest.LogCaptureFixture
) -> None:
    order = place_order()
    settings.DATABASE_ROUTERS = [Lost()]

    track_purchase(order, opaque_user_id=SHOPPER)

    assert drops == [("purchases", "invalid", 1)]
    assert "purchase not reported order=1001" in caplog.text


@override_settings(TOPSORT_CONSENT=lambda request: False)
def test_finished_purchase_of_a_shopper_who_may_not_be_tracked_is_left_out() -> None:
    item = PurchaseItem(product_id="p-1", unit_price=Decimal(1))
    track_purchase(Purchase(id="1", opaque_user_id="u-1", items=[item]), build_request())

    assert outbox == []


def test_order_that_is_rolled_back_is_not_reported(client: Client) -> None:
    assert client.get("/checkout/?raise-inside").status_code == 500

    assert not Order.objects.exists()
    assert outbox == []


def test_order_that_committed_is_reported_though_the_page_failed(client: Client) -> None:
    assert client.get("/checkout/?raise").status_code == 500

    assert Order.objects.exists()
    assert len(get_purchases()) == 1


@pytest.mark.usefixtures("atomic_requests")
@pytest.mark.parametrize(("query", "orders"), [("", 1), ("?raise", 0)])
def test_atomic_requests_report_what_they_commit(client: Client, query: str, orders: int) -> None:
    client.get(f"/checkout/{query}")

    assert Order.objects.count() == orders
    assert len(get_purchases()) == orders


@pytest.mark.usefixtures("atomic_requests")
@override_settings(MIDDLEWARE=[])
def test_atomic_requests_without_the_middleware(client: Client) -> None:
    client.get("/checkout/?raise")
    client.get("/checkout/")

    assert len(get_purchases()) == 1


def test_savepoint_that_is_rolled_back_takes_its_order_along() -> None:
    with transaction.atomic():
        track_purchase(place_order("kept"), opaque_user_id="u")
        with transaction.atomic():
            track_purchase(place_order("lost"), opaque_user_id="u")
            transaction.set_rollback(True)
        with transaction.atomic():
            track_purchase(place_order("inner"), opaque_user_id="u")
        assert outbox == []

    assert [event.id for event in outbox] == ["kept", "inner"]


@both_databases
def test_order_in_another_database_waits_for_that_ones_commit() -> None:
    with transaction.atomic(using="other"):
        with transaction.atomic():
            track_purchase(place_order(using="other"), opaque_user_id="u")
        assert outbox == []
    assert [event.id for event in outbox] == ["1001"]

    with transaction.atomic(using="other"):
        track_purchase(place_order("1002", using="other"), opaque_user_id="u")
        transaction.set_rollback(True, using="other")
    assert [event.id for event in outbox] == ["1001"]


def test_order_is_read_as_it_was_committed() -> None:
    with transaction.atomic():
        order = Order.objects.create(number="1001", date_placed=PLACED)
        track_purchase(order, opaque_user_id="u")
        order.lines.create(sku="shoe-1", quantity=1, line_price_incl_tax="10")

    (event,) = get_purchases()
    assert [item.product_id for item in event.items] == ["shoe-1"]


def test_order_outside_of_a_transaction_is_reported_at_once() -> None:
    track_purchase(place_order(), opaque_user_id="u")

    assert len(outbox) == 1


def test_order_that_is_announced_twice_is_the_same_event() -> None:
    order = place_order()
    request = build_request(tsuid=SHOPPER)
    assert remember_shopper(request, order)

    track_purchase(order, request)
    order.lines.all()[0].save()
    track_purchase(Order.objects.get())

    first, second = get_purchases()
    bodies = [encode_request(EventsRequest(purchases=(one,))) for one in (first, second)]
    assert bodies[0] == bodies[1]


def test_order_that_was_deleted_is_not_reported(drops: list[object]) -> None:
    with transaction.atomic():
        order = place_order()
        track_purchase(order, opaque_user_id="u")
        Order.objects.all().delete()

    assert outbox == []
    assert drops == []


def test_remembered_shopper_goes_before_the_request() -> None:
    order = place_order()
    remember_shopper(build_request(tsuid=SHOPPER), order)

    track_purchase(order, build_request(tsuid="of-somebody-else"))

    assert [event.opaque_user_id for event in outbox] == [SHOPPER]


def test_purchase_of_a_webhook_is_not_given_an_id_that_was_just_made(
    drops: list[tuple[str, str, int]], caplog: pytest.LogCaptureFixture
) -> None:
    place_order()
    bank = Client(headers=BROWSER)

    response = bank.get("/pay/")

    assert response.status_code == 200
    assert response.cookies == {}
    assert outbox == []
    assert drops == [("purchases", "no_shopper", 1)]
    assert "order=1001: nobody knows the shopper" in caplog.text


def test_purchase_of_a_webhook_is_the_remembered_shoppers() -> None:
    remember_shopper(build_request(tsuid=SHOPPER), place_order())

    Client(headers=BROWSER).get("/pay/")

    assert [event.opaque_user_id for event in outbox] == [SHOPPER]


def test_purchase_is_not_the_clerks(client: Client, drops: list[tuple[str, str, int]]) -> None:
    place_order()
    client.force_login(User.objects.create_user("clerk", is_staff=True))

    client.get("/pay/")

    assert outbox == []
    assert drops == [("purchases", "no_shopper", 1)]


def test_purchase_is_not_another_customers(client: Client) -> None:
    place_order(user=User.objects.create_user("owner"))
    client.force_login(User.objects.create_user("other"))

    client.get("/pay/")

    assert outbox == []


@pytest.mark.usefixtures("orm_thread")
async def test_order_may_be_announced_from_an_async_view() -> None:
    await Order.objects.acreate(number="1001", date_placed=PLACED)
    order = await Order.objects.aget()
    await order.lines.acreate(sku="shoe-1", quantity=1, line_price_incl_tax="10")
    client = AsyncClient(headers=BROWSER)
    client.cookies["tsuid"] = SHOPPER

    await client.get("/pay-async/")

    assert [event.opaque_user_id for event in outbox] == [SHOPPER]


@pytest.mark.usefixtures("orm_thread")
async def test_order_that_an_async_view_announces_by_send_is_read_elsewhere(
    drops: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    order = await Order.objects.acreate(number="1001", date_placed=PLACED)
    await order.lines.acreate(sku="shoe-1", quantity=1, line_price_incl_tax="10")
    client = AsyncClient(headers=BROWSER)
    client.cookies["tsuid"] = SHOPPER

    await client.get("/place-async/")
    off_loop.wait(10.0)
    await AsyncClient(headers=BROWSER).get("/pay-by-send/")  # the bank
    off_loop.wait(10.0)

    assert [event.opaque_user_id for event in get_purchases()] == [SHOPPER]
    assert drops == []
    assert caplog.text == ""


@pytest.mark.usefixtures("orm_thread")
async def test_order_for_which_no_thread_is_free_is_named(
    monkeypatch: pytest.MonkeyPatch,
    drops: list[tuple[str, str, int]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    order = await Order.objects.acreate(number="1001", date_placed=PLACED)
    monkeypatch.setattr(offloop, "MAX_WAITING", 0)

    track_purchase(order, opaque_user_id="u")
    order_placed.send(sender=Order, order=order, request=build_request(tsuid=SHOPPER))

    assert drops == [("purchases", "overflow", 1)]
    assert "left out kind=purchases reason=overflow order=1001" in caplog.text
    assert "shopper not remembered reason=overflow" in caplog.text


async def test_finished_purchase_needs_no_transaction_in_async_code() -> None:
    event = build_purchase_event()

    track_purchase(event)

    assert outbox == [event]


def build_purchase_event() -> Purchase:
    items = [PurchaseItem(product_id="shoe-1", unit_price=Decimal(10))]
    return Purchase(id="1001", opaque_user_id="u", items=items)


def test_finished_purchase_is_reported_on_commit() -> None:
    event = build_purchase_event()

    with transaction.atomic():
        track_purchase(event, opaque_user_id="own")
        assert outbox == []

    (reported,) = get_purchases()
    assert reported.opaque_user_id == "own"
    assert (reported.id, reported.items) == (event.id, event.items)


def test_order_of_any_shape_is_reported() -> None:
    order = {
        "number": "1001",
        "topsort_user_id": "u",
        "topsort_channel": "instore",
        "lines": [{"sku": "shoe-1", "total": "10.00"}],
    }

    track_purchase(order)
    track_purchase(order, opaque_user_id="own")

    assert [event.opaque_user_id for event in outbox] == ["u", "own"]
    # What the order says of its channel goes before the setting.
    assert [event.channel for event in outbox] == ["instore", "instore"]


def read_badly(order: object) -> OrderSnapshot:
    raise ZeroDivisionError


@override_settings(TOPSORT_ORDER_READER=read_badly, TOPSORT_STRICT=True)
def test_reader_that_raises_leaves_the_order_committed(
    client: Client, drops: list[tuple[str, str, int]], caplog: pytest.LogCaptureFixture
) -> None:
    assert client.get("/checkout/").status_code == 200

    assert Order.objects.exists()
    assert drops == [("purchases", "invalid", 1)]
    assert "purchase not reported order=1001" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def read_wrongly(order: Order) -> OrderSnapshot:
    lines = (LineSnapshot(product_id="s", total=1),)
    return OrderSnapshot(key="s" * 3000, placed_at=None, lines=lines)


@override_settings(TOPSORT_ORDER_READER=read_wrongly)
def test_order_that_no_event_can_hold_is_logged_without_its_content(
    drops: list[tuple[str, str, int]], caplog: pytest.LogCaptureFixture
) -> None:
    track_purchase(place_order(), opaque_user_id="secret-shopper")

    assert drops == [("purchases", "invalid", 1)]
    assert "purchase not reported order=1001" in caplog.text
    assert "field=id" in caplog.text
    assert "sss" not in caplog.text
    assert "secret-shopper" not in caplog.text


def test_shopper_id_that_is_refused_is_not_logged(
    drops: list[tuple[str, str, int]], caplog: pytest.LogCaptureFixture
) -> None:
    track_purchase(place_order(), opaque_user_id="jane@example.com" * 4 + "m")

    assert outbox == []
    assert drops == [("purchases", "invalid", 1)]
    assert "order=1001" in caplog.text
    assert "field=opaque_user_id given=str: it must have 1 to 64 characters" in caplog.text
    assert "jane" not in caplog.text


def test_shopper_id_of_64_characters_is_reported() -> None:
    track_purchase(place_order(), opaque_user_id="u" * 64)

    assert [event.opaque_user_id for event in outbox] == ["u" * 64]


def test_shopper_id_that_is_refused_is_not_put_into_a_finished_purchase(
    drops: list[tuple[str, str, int]],
) -> None:
    track_purchase(build_purchase_event(), opaque_user_id="u" * 65)

    assert outbox == []
    assert drops == [("purchases", "invalid", 1)]


class NumberlessReader(OrderReader):
    """Finds no number, or fails to."""

    def get_key(self, order: Any) -> str:
        return order if isinstance(order, str) else ""


class BrokenReader(OrderReader):
    """Knows no order."""

    def get_key(self, order: Any) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize("reader", [NumberlessReader, BrokenReader])
def test_order_without_a_number_is_logged_by_its_type(
    reader: type[OrderReader], caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(TOPSORT_ORDER_READER=reader):
        track_purchase(place_order(), build_request(tsuid=SHOPPER), opaque_user_id="")

    assert outbox == []
    assert "Order" in caplog.text


class ChoosyReader(OrderReader):
    """Knows no complete order."""

    def is_complete(self, order: Any) -> bool:
        return False


@override_settings(TOPSORT_ORDER_READER=ChoosyReader)
def test_order_that_is_not_complete_is_no_loss_whoever_made_it(drops: list[object]) -> None:
    track_purchase(place_order())

    assert outbox == []
    assert drops == []


def test_order_without_an_order_is_counted(drops: list[tuple[str, str, int]]) -> None:
    track_purchase(None)

    assert drops == [("purchases", "invalid", 1)]


def test_purchase_with_what_is_no_request_is_counted(
    drops: list[tuple[str, str, int]], caplog: pytest.LogCaptureFixture
) -> None:
    track_purchase(place_order(), "request", opaque_user_id="u")  # type: ignore[arg-type]

    assert drops == [("purchases", "invalid", 1)]
    assert "order=1001" in caplog.text


def test_autocommit_off_outside_of_a_transaction_is_said(
    drops: list[tuple[str, str, int]], caplog: pytest.LogCaptureFixture
) -> None:
    order = place_order()
    transaction.set_autocommit(False)
    try:
        track_purchase(order, opaque_user_id="u")
    finally:
        transaction.rollback()
        transaction.set_autocommit(True)

    assert outbox == []
    assert drops == [("purchases", "no_commit", 1)]
    assert "order=1001: autocommit is off" in caplog.text


def test_order_in_a_database_that_cannot_be_asked_breaks_no_checkout(
    drops: list[tuple[str, str, int]], caplog: pytest.LogCaptureFixture
) -> None:
    order = place_order()
    engine = {**connections.settings["default"], "ENGINE": "django.db.backends.dummy"}
    connections.settings["unreachable"] = engine
    order._state.db = "unreachable"
    try:
        track_purchase(order, opaque_user_id="u")
    finally:
        del connections["unreachable"]
        del connections.settings["unreachable"]

    assert drops == [("purchases", "invalid", 1)]
    assert "purchase not reported order=1001" in caplog.text


class AttrDict(dict[str, Any]):
    """A dict whose keys are attributes, and which says of others that there is no such key."""

    __getattr__ = dict.__getitem__


class Record:
    """What an API returned."""

    def __init__(self, **data: Any) -> None:
        self.data = data

    def __getattr__(self, name: str) -> Any:
        return self.__dict__["data"][name]


@pytest.mark.parametrize("shape", [AttrDict, Record])
def test_order_whose_getattr_raises_what_it_likes_is_reported(shape: Any) -> None:
    lines = [shape(sku="shoe-1", total="10.00")]

    order_paid.send(sender=None, order=shape(number="1001", topsort_user_id="u", lines=lines))

    assert [event.id for event in outbox] == ["1001"]


class Opaque:
    """An order of which nothing can be had."""

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError(name)


def test_order_that_nothing_can_be_read_of_breaks_no_checkout(
    drops: list[tuple[str, str, int]], caplog: pytest.LogCaptureFixture
) -> None:
    order_paid.send(sender=None, order=Opaque())

    assert drops == [("purchases", "invalid", 1)]
    assert "purchase not reported order=Opaque" in caplog.text


class ReplicaRouter:
    """Reads from "other", as from a replica that lags behind, and writes to "default"."""

    def db_for_read(self, model: object, **hints: Any) -> str:
        return "other"

    def db_for_write(self, model: object, **hints: Any) -> str:
        return "default"


@both_databases
@override_settings(DATABASE_ROUTERS=[ReplicaRouter()])
def test_order_that_was_read_from_a_replica_waits_for_the_commit() -> None:
    order = place_order()
    order._state.db = "other"

    with transaction.atomic():
        track_purchase(order, opaque_user_id="u")
        transaction.set_rollback(True)
    assert outbox == []

    with transaction.atomic():
        track_purchase(order, opaque_user_id="u")
        assert outbox == []
    assert [len(event.items) for event in get_purchases()] == [2]


@both_databases
def test_order_of_any_shape_waits_for_the_commit_of_another_database() -> None:
    order = {"number": "1001", "lines": [{"sku": "shoe-1", "total": "10.00"}]}

    with transaction.atomic(using="other"):
        track_purchase(order, opaque_user_id="u")
        transaction.set_rollback(True, using="other")
    assert outbox == []

    with transaction.atomic(using="other"):
        track_purchase(order, opaque_user_id="u")
        assert outbox == []
    assert [event.id for event in outbox] == ["1001"]


SOLD = {"sku": "shoe-1", "total": "10.00"}


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({"number": "", "lines": [SOLD]}, "no_number"),
        ({"number": "1001", "lines": [{**SOLD, "total": "10 EUR"}]}, "no_payable_line"),
        ({"number": "1001", "lines": [{**SOLD, "sku": "s" * 3000}]}, "no_payable_line"),
        (Order(number="1001", date_placed=PLACED), "not_saved"),
    ],
)
def test_purchase_that_is_lost_is_counted_and_announced(
    order: Any, reason: str, drops: list[tuple[str, str, int]], caplog: pytest.LogCaptureFixture
) -> None:
    before = accounts.get_counts()["purchases"]

    track_purchase(order, opaque_user_id="u")

    after = accounts.get_counts()["purchases"]
    assert outbox == []
    assert drops == [("purchases", reason, 1)]
    assert after["dropped"] - before["dropped"] == 1
    assert f"left out kind=purchases reason={reason} order=" in caplog.text


@pytest.mark.parametrize("total", ["0.00", "-5.00"])
def test_order_of_which_nothing_was_charged_is_no_loss(total: str, drops: list[object]) -> None:
    track_purchase({"number": "1001", "lines": [{**SOLD, "total": total}]}, opaque_user_id="u")

    assert outbox == []
    assert drops == []


def test_number_with_a_line_break_forges_no_line_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    track_purchase({"number": "1\nERROR forged", "lines": [SOLD]})

    assert "order=1?ERROR forged: nobody knows the shopper" in caplog.text
    assert "\nERROR forged" not in caplog.text


def test_counts_of_a_walk_add_up(client: Client) -> None:
    before = accounts.get_counts()["purchases"]

    client.get("/checkout/")
    Client(headers=BROWSER).get("/pay/")

    after = accounts.get_counts()["purchases"]
    changes = {name: after[name] - before[name] for name in ("recorded", "delivered", "waiting")}
    # The bank's is the remembered shopper's, and the same event once more.
    assert changes == {"recorded": 2, "delivered": 2, "waiting": 0}
