"""The outbox in the admin: to be looked at, and sent again."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.utils.timesince import timesince
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from django_topsort.outbox.clock import get_database_time, get_host_time
from django_topsort.outbox.models import WAITING, OutboxEvent, RememberedShopper, Status

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_topsort.outbox.models import OutboxQuerySet

    EventAdmin = admin.ModelAdmin[OutboxEvent]
    ShopperAdmin = admin.ModelAdmin[RememberedShopper]
else:
    EventAdmin = ShopperAdmin = admin.ModelAdmin


class ReadOnly:
    """Rows that nobody writes or changes by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody may: rows are written by the shop's code."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Nobody may: what was recorded is what is sent."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Nobody may: what waits would be lost unseen; a command deletes dead letters."""
        return False


class AgeFilter(admin.SimpleListFilter):
    """For how long what waits has been waiting."""

    title = _("waiting for")
    parameter_name = "waiting"
    ages = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("minute", _("more than a minute")),
            ("hour", _("more than an hour")),
            ("day", _("more than a day")),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        age = self.ages.get(self.value() or "")
        if age is None:
            return queryset
        return queryset.waiting().filter(created_at__lte=get_host_time() - age)


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnly, EventAdmin):
    """Each event with its state in words, its age and the reason why it is not delivered."""

    list_display = ("event_id", "kind", "status", "age", "attempts", "reason")
    list_filter = ("status", "kind", AgeFilter)
    search_fields = ("event_id",)
    search_help_text = _("The event's id: of a purchase the order's number.")
    ordering = ("-pk",)
    actions = ("send_again",)
    show_full_result_count = False  # the table may have a million rows
    list_per_page = 50

    @admin.display(description=_("age"), ordering="created_at")
    def age(self, row: OutboxEvent) -> str:
        """Return for how long the row has been there."""
        return timesince(row.created_at, get_host_time())

    @admin.display(description=_("reason"))
    def reason(self, row: OutboxEvent) -> str:
        """Return why the row is where it is, in words."""
        if row.status == Status.DELIVERED:
            return "-"
        if row.last_error:
            return row.last_error
        return str(_("not tried yet")) if row.status in WAITING else "-"

    def has_send_again_permission(self, request: HttpRequest) -> bool:
        """Whether the user may send rows again: who may change them, if anybody could."""
        return request.user.has_perm("topsort_outbox.change_outboxevent")

    @admin.action(
        description=_("Send again what was refused or given up"), permissions=["send_again"]
    )
    def send_again(self, request: HttpRequest, queryset: OutboxQuerySet) -> None:
        """Put the chosen dead letters and refused events back among those that wait."""
        count = queryset.send_again(get_database_time(queryset.db))
        if not count:
            nothing = _("Nothing of that was refused or given up: the rest needs no sending again.")
            self.message_user(request, str(nothing), messages.WARNING)
            return
        said = ngettext("%(count)d event waits again.", "%(count)d events wait again.", count)
        self.message_user(request, said % {"count": count}, messages.SUCCESS)


@admin.register(RememberedShopper)
class RememberedShopperAdmin(ReadOnly, ShopperAdmin):
    """Which orders have a known shopper, who may be forgotten."""

    list_display = ("order_key", "device_type", "channel", "created_at")
    search_fields = ("order_key",)
    search_help_text = _("The order's number.")
    ordering = ("-pk",)
    show_full_result_count = False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who has the permission may: a person has a right to be forgotten."""
        return admin.ModelAdmin.has_delete_permission(self, request, obj)
