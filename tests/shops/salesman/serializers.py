from __future__ import annotations

from rest_framework import serializers

from tests.shops.salesman.models import Product, Variant


class ProductSerializer(serializers.ModelSerializer[Product]):
    class Meta:
        model = Product
        fields = ["name", "code"]


class VariantSerializer(serializers.ModelSerializer[Variant]):
    class Meta:
        model = Variant
        fields = ["name", "code"]
