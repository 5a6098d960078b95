"""The shop's own orders, and orders of the shapes that LFS and Cartridge give them.

Neither of the two can be installed here: LFS's last release is of 2017, Cartridge needs Django 4.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from payments.models import BasePayment


class Stored(models.Model):
    """Says that there are managers: mypy knows them of the apps in ``tests.settings`` only."""

    objects: ClassVar[Any]

    class Meta:
        abstract = True


class Order(Stored):
    number = models.CharField(max_length=30)
    date_placed = models.DateTimeField()
    currency = models.CharField(max_length=3, default="EUR")
    total = models.DecimalField(max_digits=9, decimal_places=2)


class Line(Stored):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    sku = models.CharField(max_length=30)
    quantity = models.IntegerField()
    line_total = models.DecimalField(max_digits=9, decimal_places=2)


class Payment(BasePayment):  # type: ignore[misc]  # the package has no types
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="payments")

    def get_success_url(self) -> str:
        return "/thanks/"

    def get_failure_url(self) -> str:
        return "/sorry/"


class Cheese(Stored):
    """A product of LFS."""

    name = models.CharField(max_length=30)


class LfsOrder(Stored):
    number = models.CharField(max_length=30)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True)
    created = models.DateTimeField()
    state = models.PositiveSmallIntegerField(default=0)


class LfsItem(Stored):
    order = models.ForeignKey(LfsOrder, on_delete=models.CASCADE, related_name="items")
    product = models.ForeignKey(Cheese, on_delete=models.SET_NULL, null=True)
    product_amount = models.FloatField(null=True)
    product_sku = models.CharField(max_length=100, blank=True)
    price_gross = models.FloatField()
    product_price_gross = models.FloatField()


class CartridgeOrder(Stored):
    time = models.DateTimeField(null=True)
    key = models.CharField(max_length=40)  # of the session
    user_id = models.IntegerField(null=True)
    total = models.DecimalField(max_digits=10, decimal_places=2)
    status = models.IntegerField(default=1)


class CartridgeItem(Stored):
    order = models.ForeignKey(CartridgeOrder, on_delete=models.CASCADE, related_name="items")
    sku = models.CharField(max_length=30)
    quantity = models.IntegerField(default=0)
    unit_price = models.DecimalField(max_digits=10, decimal_places=2)
    total_price = models.DecimalField(max_digits=10, decimal_places=2)
