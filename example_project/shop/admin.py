"""The orders in the admin: the outbox's rows lead to them."""

from __future__ import annotations

from django.contrib import admin

from shop.models import Order


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # it takes none when it runs
    list_display = ["number", "name", "placed_at", "paid_at"]
    search_fields = ["number"]
