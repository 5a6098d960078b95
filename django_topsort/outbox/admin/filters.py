"""By what the list of rows is narrowed; each with an index of the table in mind."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from django_topsort.events import EVENT_KINDS
from django_topsort.outbox.admin.reasons import REASONS
from django_topsort.outbox.clock import get_database_time
from django_topsort.outbox.models import Status

if TYPE_CHECKING:
    from django.http import HttpRequest


class NeedsFilter(admin.SimpleListFilter):
    """What nothing but a person helps."""

    title = _("need")
    parameter_name = "needs"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("me", _("refused purchases and dead letters"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.needing_somebody() if self.value() == "me" else queryset


class AgeFilter(admin.SimpleListFilter):
    """For how long what waits has been waiting."""

    title = _("waiting for")
    parameter_name = "waiting"
    ages = {
        "any": timedelta(0),
        "minute": timedelta(minutes=1),
        "hour": timedelta(hours=1),
        "day": timedelta(days=1),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("any", _("any time")),
            ("minute", _("more than a minute")),
            ("hour", _("more than an hour")),
            ("day", _("more than a day")),
        ]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        age = self.ages.get(self.value() or "")
        if age is None:
            return queryset
        if not age:
            return queryset.waiting()
        return queryset.waiting().filter(created_at__lte=get_database_time(queryset.db) - age)


class KindFilter(admin.SimpleListFilter):
    """The kind, together with all statuses: an index has the two, and none the kind alone."""

    title = _("kind")
    parameter_name = "kind__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(kind, kind) for kind in EVENT_KINDS]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() not in EVENT_KINDS:
            return queryset
        return queryset.filter(kind=self.value(), status__in=Status.values)


class ReasonFilter(admin.SimpleListFilter):
    """Why rows are not delivered, by the class of what went wrong."""

    title = _("reason")
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(name, reason.title) for name, reason in REASONS.items()]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        reason = REASONS.get(self.value() or "")
        if reason is None:
            return queryset
        # What is delivered has no reason: the index leaves it out.
        others = [status for status in Status.values if status != Status.DELIVERED]
        return queryset.filter(reason.condition, status__in=others)


FILTERS = (NeedsFilter, "status", KindFilter, AgeFilter, ReasonFilter)
