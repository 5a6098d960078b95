"""Who is remembered for which order, in the admin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from django_topsort.outbox.admin.listing import get_words
from django_topsort.outbox.admin.reading import ReadOnly
from django_topsort.outbox.models import RememberedShopper
from django_topsort.outbox.store import get_shoppers_database

if TYPE_CHECKING:
    from django.http import HttpRequest

    ShopperAdmin = admin.ModelAdmin[RememberedShopper]
else:
    ShopperAdmin = admin.ModelAdmin


@admin.register(RememberedShopper)
class RememberedShopperAdmin(ReadOnly, ShopperAdmin):
    """Which orders have a known shopper, who may be forgotten."""

    list_display = ("order_key", "device_type", "channel", "created_at")
    search_fields = ("order_key__exact",)
    search_help_text = _("The order's number, as a whole; several with spaces between them.")
    ordering = ("-pk",)
    sortable_by = ()
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the rows from where they are written: a copy of that may be late."""
        return super().get_queryset(request).using(get_shoppers_database())

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        """Find orders by their numbers, with the index."""
        words = get_words(search_term)
        return (queryset.filter(order_key__in=words) if words else queryset), False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who has the permission may: a person has a right to be forgotten."""
        return admin.ModelAdmin.has_delete_permission(self, request, obj)
