"""A small shop's models, as the tests' stand-in for the reader's own."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Product(models.Model):
    name = models.CharField(max_length=100)
    sku = models.CharField(max_length=50, blank=True)
    vendor_id = models.IntegerField(null=True)

    def get_absolute_url(self) -> str:
        return f"/product/{self.pk}/"


class Order(models.Model):
    number = models.CharField(max_length=20)
    date_placed = models.DateTimeField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)


class MarketOrder(models.Model):
    """An order of one of several markets, which is known by both."""

    pk = models.CompositePrimaryKey("market", "number")
    market = models.UUIDField()
    number = models.CharField(max_length=20)

    @property
    def lines(self) -> list[dict[str, str]]:
        return [{"sku": "shoe-1", "line_total": "59.90"}]


class Line(models.Model):
    order = models.ForeignKey(Order, related_name="lines", on_delete=models.CASCADE)
    product = models.ForeignKey(Product, null=True, on_delete=models.SET_NULL)
    sku = models.CharField(max_length=50, blank=True)
    quantity = models.DecimalField(max_digits=12, decimal_places=3, default=1)
    line_price_incl_tax = models.DecimalField(max_digits=12, decimal_places=2)
    vendor_id = models.IntegerField(null=True)
