"""The events in the admin: the list, and the page of each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.utils.functional import SimpleLazyObject
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _

from django_topsort.outbox.admin import words
from django_topsort.outbox.admin.actions import NAMES, SHORT, Actions
from django_topsort.outbox.admin.filters import FILTERS
from django_topsort.outbox.admin.links import find_order
from django_topsort.outbox.admin.listing import EventList, ShortPaginator, get_words
from django_topsort.outbox.admin.payloads import build_payload, format_payload
from django_topsort.outbox.admin.reading import ReadOnly
from django_topsort.outbox.admin.summary import build_summary
from django_topsort.outbox.models import WAITING, OutboxEvent
from django_topsort.outbox.rows import show
from django_topsort.outbox.store import get_outbox_database

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse
    from django.utils.safestring import SafeString

    EventAdmin = admin.ModelAdmin[OutboxEvent]
else:
    EventAdmin = admin.ModelAdmin

SEE_SHOPPERS = "topsort_outbox.view_rememberedshopper"


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnly, Actions, EventAdmin):
    """Each event with its state in words, its age and the reason why it is not delivered."""

    list_display = ("what", "kind", "state", "age", "attempts", "reason")
    list_filter = FILTERS
    search_fields = ("event_id__exact",)
    search_help_text = _(
        "The event's id, as a whole: of a purchase the order's number; several with spaces between"
        " them."
    )
    ordering = ("-pk",)
    sortable_by = ()
    actions = NAMES
    show_full_result_count = False  # the table may have a million rows
    show_facets = admin.ShowFacets.NEVER
    paginator = ShortPaginator
    list_per_page = 50
    list_max_show_all = 0
    change_list_template = "topsort_outbox/change_list.html"
    change_form_template = "topsort_outbox/change_form.html"
    fieldsets = (
        (
            None,
            {"fields": ("what", "kind", "state", "order", "next_try", "attempts", "full_reason")},
        ),
        (_("What happened"), {"fields": ("happened",)}),
        (_("What is sent"), {"fields": ("content",)}),
    )
    readonly_fields = (*fieldsets[0][1]["fields"], "happened", "content")

    class Media:
        """What the pages load: one style sheet, so that a strict policy allows it."""

        css = {"all": ("topsort_outbox/outbox.css",)}

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the rows from where they are written: a copy of that may be late."""
        return super().get_queryset(request).using(get_outbox_database())

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[EventList]:
        """Return the list that has one order."""
        return EventList

    def get_search_results(
        self, request: HttpRequest, queryset: Any, search_term: str
    ) -> tuple[Any, bool]:
        """Find events by their ids, with the index: no part of an id has one."""
        names = {show(word) for word in get_words(search_term)}
        return (queryset.filter(event_id__in=sorted(names)) if names else queryset), False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Answer with the list, and with what is the matter above it."""
        # Where it is not shown, as after an action, it costs nothing.
        summary = SimpleLazyObject(build_summary)
        return super().changelist_view(request, {**(extra_context or {}), "summary": summary})

    def get_object(self, request: HttpRequest, *arguments: Any, **options: Any) -> Any:
        """Return a row with what its page shows beside its columns."""
        row: Any = super().get_object(request, *arguments, **options)
        if row is not None:
            row.order = find_order(row, request, self.admin_site)
            row.with_shopper = request.user.has_perm(SEE_SHOPPERS)
        return row

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *arguments: Any, **options: Any
    ) -> HttpResponse:
        """Answer with a row's page, and with what can be done about the row."""
        row = context["original"]
        names = [name for name in SHORT if words.can(name, row)]
        allowed = self.get_actions(request)
        context["row_actions"] = [(name, SHORT[name]) for name in names if name in allowed]
        return super().render_change_form(request, context, *arguments, **options)

    @admin.display(description=_("event"))
    def what(self, row: OutboxEvent) -> str:
        """Return what the row is."""
        return words.name(row)

    @admin.display(description=_("status"))
    def state(self, row: OutboxEvent) -> SafeString:
        """Return the row's status, with a sign that does not depend on colours."""
        status = row.get_status_display()
        return format_html('<span class="topsort-state topsort-{}">{}</span>', row.status, status)

    @admin.display(description=_("age"))
    def age(self, row: OutboxEvent) -> str:
        """Return for how long the row has been there."""
        return words.say_age(row)

    @admin.display(description=_("next try"))
    def next_try(self, row: OutboxEvent) -> str:
        """Return when it is tried next, in words."""
        return words.say_due(row)

    @admin.display(description=_("reason"))
    def reason(self, row: OutboxEvent) -> SafeString:
        """Return the beginning of why the row is where it is, and when it is tried next."""
        said = Truncator(words.say_reason(row)).chars(140)
        if row.status not in WAITING:
            return format_html("{}", said)
        due = _("next try: %(due)s") % {"due": words.say_due(row)}
        return format_html('{}<br><span class="topsort-note">{}</span>', said, due)

    @admin.display(description=_("reason"))
    def full_reason(self, row: OutboxEvent) -> SafeString:
        """Return why the row is where it is, with Topsort's page about it as a link."""
        return words.link(words.say_reason(row))

    @admin.display(description=_("order"))
    def order(self, row: Any) -> SafeString | str:
        """Return a link to the order."""
        if row.order is None:
            return "-"
        said = _("look for it in this admin") if row.order.is_search else _("open it in this admin")
        return format_html('<a href="{}">{}</a>', row.order.url, said)

    @admin.display(description=_("history"))
    def happened(self, row: OutboxEvent) -> SafeString:
        """Return what the row tells of its past and its future."""
        return words.list_moments(row)

    @admin.display(description=_("payload"))
    def content(self, row: Any) -> SafeString:
        """Return what is sent as JSON; the shopper only to who may see shoppers."""
        payload = build_payload(row, with_shopper=row.with_shopper)
        if payload is None:
            text = row.payload if row.with_shopper else str(_("It is no JSON, and is not shown."))
        else:
            text = format_payload(payload)
        return format_html('<pre class="topsort-payload" tabindex="0">{}</pre>', text)
