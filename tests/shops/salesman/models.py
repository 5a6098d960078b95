"""What the shop sells: two models of products, whose primary keys are the same."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from django.db import models


class Product(models.Model):
    name = models.CharField(max_length=50)
    code = models.CharField(max_length=50)
    price = models.DecimalField(max_digits=9, decimal_places=2)

    objects: ClassVar[models.Manager[Product]] = models.Manager()

    class Meta:
        app_label = "catalogue"

    def __str__(self) -> str:
        return self.name

    def get_price(self, request: Any) -> Decimal:
        return self.price


class Variant(models.Model):
    """One size of a product."""

    parent = models.ForeignKey(Product, models.CASCADE, related_name="variants")
    code = models.CharField(max_length=50)
    price = models.DecimalField(max_digits=9, decimal_places=2)

    objects: ClassVar[models.Manager[Variant]] = models.Manager()

    class Meta:
        app_label = "catalogue"

    def __str__(self) -> str:
        return self.code

    @property
    def name(self) -> str:
        return f"{self.parent.name} {self.code}"

    def get_price(self, request: Any) -> Decimal:
        return self.price
