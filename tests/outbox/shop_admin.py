"""An admin that has the outbox and the orders of the shop."""

from __future__ import annotations

from django.contrib.admin import AdminSite, ModelAdmin
from django.urls import path

from django_topsort.outbox.admin import OutboxEventAdmin
from django_topsort.outbox.models import OutboxEvent
from tests.shop.models import Line, Order


class OrderAdmin(ModelAdmin):  # type: ignore[type-arg]
    search_fields = ("number",)


site = AdminSite()
site.register(Line)
site.register(Order, OrderAdmin)
site.register(OutboxEvent, OutboxEventAdmin)
urlpatterns = [path("admin/", site.urls)]
