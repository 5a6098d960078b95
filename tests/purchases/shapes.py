"""Orders in the shapes that living shops give them, as plain objects."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

PLACED_AT = datetime(2026, 11, 1, 9, 30, tzinfo=UTC)


class Manager:
    """As much of a related manager as is needed to read it; calling it needs an argument."""

    def __init__(self, *rows: Any) -> None:
        self.rows = list(rows)

    def __call__(self, *, manager: str) -> Any:
        """Make another manager."""

    def all(self) -> list[Any]:
        return self.rows


class Money(NamedTuple):
    amount: Decimal
    currency: str


class TaxedMoney(NamedTuple):
    net: Money
    gross: Money


class Price:
    """A price whose number is called ``value``."""

    def __init__(self, value: str) -> None:
        self.value = Decimal(value)


class StrictMoney(Decimal):
    """A Decimal that refuses to be compared with another type, as one shop's Money does."""

    currency = "EUR"

    def __eq__(self, other: object) -> bool:
        raise ValueError("Can not compare money in different currencies")

    __hash__ = Decimal.__hash__


def product(pk: Any) -> SimpleNamespace:
    return SimpleNamespace(pk=pk)


def oscar() -> SimpleNamespace:
    three_for_two = SimpleNamespace(
        product=SimpleNamespace(pk=5, parent_id=3),
        upc="U5",
        partner_sku="P5",
        partner_id=2,
        partner_name="Anna's",
        unit_price_incl_tax=Decimal("15.00"),
        unit_price_excl_tax=None,
        line_price_incl_tax=Decimal("30.00"),
        line_price_excl_tax=Decimal("25.21"),
        quantity=3,
    )
    free_sample = SimpleNamespace(
        product=product(8),
        partner_id=None,
        unit_price_incl_tax=Decimal("4.00"),
        line_price_incl_tax=Decimal("0.00"),
        quantity=1,
    )
    gone = SimpleNamespace(
        product=None,
        upc="",
        partner_sku="P9",
        partner_id=2,
        unit_price_incl_tax=None,
        line_price_incl_tax=Decimal("7.50"),
        quantity=1,
    )
    return SimpleNamespace(
        number=100001,
        date_placed=PLACED_AT,
        currency="EUR",
        user=None,
        total_incl_tax=Decimal("42.45"),
        lines=Manager(three_for_two, free_sample, gone),
    )


def salesman() -> SimpleNamespace:
    item = SimpleNamespace(
        product=product(7),
        product_type="shop.Product",
        product_id=7,
        code="SKU7",
        unit_price=Decimal("10.00"),
        total=Decimal("17.00"),
        quantity=2,
    )
    return SimpleNamespace(
        ref="2026-00012",
        date_created=PLACED_AT,
        items=Manager(item),
        extra={"topsort_user_id": "shopper-7"},
        user=None,
    )


def pretix() -> SimpleNamespace:
    def position(price: str) -> SimpleNamespace:
        return SimpleNamespace(
            item=product(11),
            item_id=11,
            variation_id=None,
            price=Decimal(price),
            tax_value=Decimal(1),
        )

    return SimpleNamespace(
        code="ABC12",
        datetime=PLACED_AT,
        event=SimpleNamespace(currency="EUR"),
        positions=Manager(
            position("23.00"), position("23.00"), position("18.00"), position("0.00")
        ),
        testmode=False,
    )


def saleor() -> SimpleNamespace:
    def line(total: str, **more: Any) -> SimpleNamespace:
        gross = Money(Decimal(total), "USD")
        return SimpleNamespace(
            unit_price_gross=gross,
            unit_price=TaxedMoney(Money(Decimal("1.000"), "USD"), gross),
            total_price_gross=gross,
            **more,
        )

    return SimpleNamespace(
        number=1042,
        created_at=PLACED_AT,
        currency="USD",
        lines=Manager(
            line("24.690", variant=product(21), product_sku="S21", quantity=3),
            line("5.000", variant=None, product_sku="S22", product_variant_id=None, quantity=1),
        ),
    )


def lfs() -> SimpleNamespace:
    cheese = SimpleNamespace(
        product=product(31),
        product_sku="L31",
        product_price_gross=4.0,
        product_amount=1.5,
        amount="1,5",
    )
    bread = SimpleNamespace(
        product=product(32), product_sku="L32", product_price_gross=2.2, product_amount=None
    )
    discount = SimpleNamespace(
        product=None, product_sku="summer", product_price_gross=-3.0, product_amount=1.0
    )
    return SimpleNamespace(
        number="2026/7", created=PLACED_AT, items=Manager(cheese, bread, discount), user=None
    )


def django_shop() -> SimpleNamespace:
    broken = SimpleNamespace(
        product=product(42),
        line_total=StrictMoney("NaN"),
        unit_price=StrictMoney("NaN"),
        quantity=1,
    )
    right = SimpleNamespace(
        product=product(41),
        product_code="D41",
        line_total=StrictMoney("19.98"),
        unit_price=StrictMoney("9.99"),
        quantity=Decimal("2.000"),
    )
    return SimpleNamespace(
        get_number=lambda: "2026-00099",
        created_at=PLACED_AT,
        currency="EUR",
        items=Manager(broken, right),
    )


def shuup() -> SimpleNamespace:
    def line(total: str, **more: Any) -> SimpleNamespace:
        return SimpleNamespace(
            taxful_price=Price(total),
            price=Price(total),
            **{"quantity": Decimal("1.000000000"), "supplier_id": 4, "sku": "", **more},
        )

    return SimpleNamespace(
        reference_number="10023",
        order_date=PLACED_AT,
        currency="EUR",
        lines=Manager(
            line("50.00", product=product(51), sku="H51", quantity=Decimal("4.000000000")),
            line("4.90", product=None),  # shipping
            line("-5.00", product=None),  # a discount
            line("-12.50", product=product(51), sku="H51"),  # a refund
        ),
    )


def cartridge() -> SimpleNamespace:
    item = SimpleNamespace(
        sku="C61", unit_price=Decimal("8.00"), total_price=Decimal("16.00"), quantity=2
    )
    return SimpleNamespace(
        pk=77,
        key="session",
        time=PLACED_AT.astimezone(ZoneInfo("Europe/Berlin")).replace(tzinfo=None),
        items=Manager(item),
    )


def longclaw() -> SimpleNamespace:
    item = SimpleNamespace(product=product(71), total=Decimal("12.00"), quantity=4)
    return SimpleNamespace(pk=78, created_date=PLACED_AT, items=Manager(item))


class PurchasedItem(NamedTuple):
    name: str
    quantity: int
    price: Decimal
    currency: str
    sku: str


class Payment:
    """A payment that tells its items from a generator."""

    token = UUID("7a9f0a3e-3cb4-4b4a-8b35-3c1f6f6f0d11")
    created = PLACED_AT
    currency = "EUR"

    def get_purchased_items(self) -> Any:
        yield PurchasedItem("Tea", 2, Decimal("3.50"), "EUR", "T81")


def getpaid() -> SimpleNamespace:
    lines = [{"name": "Cup", "sku": "G91", "quantity": 3, "unit_price": Decimal("6.25")}]
    return SimpleNamespace(pk=79, created_on=PLACED_AT, currency="PLN", get_items=lambda: lines)


def stripe_session() -> dict[str, Any]:
    """Return a Checkout Session as Stripe sends it: amounts are in cents, lines are a page."""
    price = {"id": "price_1", "unit_amount": 1999, "currency": "eur", "product": "prod_1"}
    line = {"id": "li_1", "amount_total": 3998, "quantity": 2, "price": price}
    return {
        "id": "cs_1",
        "client_reference_id": "1001",
        "created": 1_790_000_000,
        "currency": "eur",
        "amount_total": 3998,
        "line_items": {"object": "list", "data": [line], "has_more": False, "url": "/v1/lines"},
    }


def django_plans() -> SimpleNamespace:
    return SimpleNamespace(
        pk=12,
        created=PLACED_AT,
        currency="EUR",
        plan_id=5,
        pricing_id=1,
        amount=Decimal("10.00"),
        total=lambda: Decimal("12.50"),
    )


def satchless() -> SimpleNamespace:
    gross = Money(Decimal("3.20"), "EUR")
    price = TaxedMoney(Money(Decimal("2.69"), "EUR"), gross)
    item = SimpleNamespace(
        product=product(95), get_quantity=lambda: 2, get_price_per_item=lambda: price
    )
    return SimpleNamespace(pk=80, created=PLACED_AT, items=[item])


def document() -> dict[str, Any]:
    """Return an order as JSON has it, such as a webhook's."""
    return {
        "id": "T3JkZXI6MQ==",
        "created": "2026-11-01T10:30:00+01:00",
        "items": [
            {
                "product": {"id": 101, "vendor": {"id": "v-3"}},
                "quantity": "2",
                "total": {"gross": {"amount": "15.00", "currency": "eur"}},
            }
        ],
    }


class Expected(NamedTuple):
    key: str
    items: list[tuple[str, str, int, str | None]]  # product, unit price, quantity, vendor


SHAPES: dict[str, tuple[Callable[[], Any], Expected]] = {
    "oscar": (oscar, Expected("100001", [("5", "10.00", 3, "2"), ("P9", "7.50", 1, "2")])),
    "salesman": (salesman, Expected("2026-00012", [("7", "8.50", 2, None)])),
    "pretix": (
        pretix,
        Expected("ABC12", [("11", "18.00", 1, None), ("11", "23.00", 2, None)]),
    ),
    "saleor": (
        saleor,
        Expected("1042", [("21", "8.23", 3, None), ("S22", "5.00", 1, None)]),
    ),
    "lfs": (lfs, Expected("2026/7", [("31", "6.00", 1, None), ("32", "2.20", 1, None)])),
    "django-shop": (django_shop, Expected("2026-00099", [("41", "9.99", 2, None)])),
    "shuup": (shuup, Expected("10023", [("51", "12.50", 4, "4")])),
    "cartridge": (cartridge, Expected("77", [("C61", "8.00", 2, None)])),
    "longclaw": (longclaw, Expected("78", [("71", "3.00", 4, None)])),
    "django-payments": (
        Payment,
        Expected("7a9f0a3e-3cb4-4b4a-8b35-3c1f6f6f0d11", [("T81", "3.50", 2, None)]),
    ),
    "getpaid": (getpaid, Expected("79", [("G91", "6.25", 3, None)])),
    "satchless": (satchless, Expected("80", [("95", "3.20", 2, None)])),
    "document": (document, Expected("T3JkZXI6MQ==", [("101", "7.50", 2, "v-3")])),
}
