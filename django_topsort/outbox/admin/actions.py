"""The actions of the list: who may do what, what is said of it, and what is written down."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from django_topsort.outbox.admin import changes, exports

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from django_topsort.outbox.admin.changes import Done
    from django_topsort.outbox.models import OutboxEvent, OutboxQuerySet

MOST_EXPORTED = 1000  # rows in one file
GIVE_UP_PURCHASES = "topsort_outbox.give_up_purchases"


class ReasonForm(forms.Form):
    """Why somebody gives events up."""

    reason = forms.CharField(
        label=_("Why"),
        max_length=200,
        help_text=_("It stands in the rows and in their history; write no personal data."),
        widget=forms.TextInput(attrs={"class": "vTextField", "autofocus": True}),
    )


class Actions:
    """What the list offers for the chosen rows, with a log entry for each row of each action."""

    def has_send_permission(self, request: HttpRequest) -> bool:
        """Whether the user may act on rows: who may change them, if anybody could."""
        return bool(request.user.has_perm("topsort_outbox.change_outboxevent"))

    @admin.action(description=_("Send again what was refused or given up"), permissions=["send"])
    def send_again(self, request: HttpRequest, queryset: OutboxQuerySet) -> None:
        """Put the chosen dead letters and refused events back among those that wait."""
        note = partial(_note, request, _("Sent again."))
        done = changes.apply(queryset, changes.find_failed, changes.send_again, note)
        if done.changed:
            said = ngettext(
                "%(count)d event waits again.", "%(count)d events wait again.", done.changed
            )
            _say(request, said % {"count": done.changed}, done)
        else:
            nothing = _("Nothing of that was refused or given up: the rest needs no sending again.")
            _say(request, str(nothing), done, messages.WARNING)

    @admin.action(description=_("Send now what waits for its next try"), permissions=["send"])
    def send_now(self, request: HttpRequest, queryset: OutboxQuerySet) -> None:
        """Let the chosen rows be due at once, as after an outage."""
        note = partial(_note, request, _("Made due at once."))
        done = changes.apply(queryset, changes.find_put_off, changes.send_now, note)
        if done.changed:
            said = ngettext(
                "%(count)d event is due now, and is sent in a minute or so if Topsort answers.",
                "%(count)d events are due now, and are sent in a minute or so if Topsort answers.",
                done.changed,
            )
            _say(request, said % {"count": done.changed}, done)
        else:
            nothing = _("Nothing of that waits for a later try.")
            _say(request, str(nothing), done, messages.WARNING)

    @admin.action(description=_("Give up what waits"), permissions=["send"])
    def give_up(self, request: HttpRequest, queryset: OutboxQuerySet) -> HttpResponse | None:
        """Ask why, and make dead letters of the chosen rows."""
        may_purchases = request.user.has_perm(GIVE_UP_PURCHASES)
        rows = queryset if may_purchases else queryset.exclude(kind="purchases")
        form = ReasonForm(request.POST if "confirmed" in request.POST else None)
        if not form.is_valid():
            return _ask(self, request, queryset, form, may_purchases=may_purchases)
        said = changes.describe_end(request.user.get_username(), form.cleaned_data["reason"])

        def note(changed: list[OutboxEvent]) -> None:
            _note(request, said, changed)
            changes.report_given_up(changed)

        done = changes.apply(rows, changes.find_waiting, partial(changes.give_up, said=said), note)
        if done.changed:
            text = ngettext(
                "%(count)d event was given up: it is a dead letter.",
                "%(count)d events were given up: they are dead letters.",
                done.changed,
            )
            _say(request, text % {"count": done.changed}, done)
        else:
            _say(request, str(_("Nothing was given up.")), done, messages.WARNING)
        if not may_purchases and queryset.filter(kind="purchases").exists():
            _say_no_purchases(request)
        return None

    @admin.action(description=_("Export as JSON, without shoppers"), permissions=["view"])
    def export_json(self, request: HttpRequest, queryset: OutboxQuerySet) -> HttpResponse:
        """Return a file of the chosen rows, a thousand at most."""
        return exports.export_json(_choose(request, queryset))

    @admin.action(description=_("Export as CSV, without shoppers"), permissions=["view"])
    def export_csv(self, request: HttpRequest, queryset: OutboxQuerySet) -> HttpResponse:
        """Return a file of the chosen rows, a thousand at most."""
        return exports.export_csv(_choose(request, queryset))


NAMES = ("send_again", "send_now", "give_up", "export_json", "export_csv")
SHORT = {"send_again": _("Send again"), "send_now": _("Send now"), "give_up": _("Give up …")}


def _choose(request: HttpRequest, queryset: OutboxQuerySet) -> list[OutboxEvent]:
    rows = list(queryset.defer(None)[:MOST_EXPORTED])
    _note(request, _("Exported."), rows)
    return rows


def _note(request: HttpRequest, said: Any, rows: list[OutboxEvent]) -> None:
    changes.log(request.user.pk, rows, str(said))


def _say(request: HttpRequest, said: str, done: Done, level: int = messages.SUCCESS) -> None:
    """Say what was done, and what was not."""
    parts = [said]
    if done.leased:
        text = ngettext(
            "%(count)d is being sent at this moment and was left alone.",
            "%(count)d are being sent at this moment and were left alone.",
            done.leased,
        )
        parts.append(text % {"count": done.leased})
    if done.is_cut:
        text = str(_("These were the first %(count)d; the rest was left alone: do it once more."))
        parts.append(text % {"count": changes.MOST_CHANGED})
    messages.add_message(request, level, " ".join(parts))


def _say_no_purchases(request: HttpRequest) -> None:
    said = _("Purchases were left alone: to give them up needs a permission of its own.")
    messages.add_message(request, messages.WARNING, str(said))


def _ask(
    model_admin: Any,
    request: HttpRequest,
    queryset: OutboxQuerySet,
    form: ReasonForm,
    *,
    may_purchases: bool,
) -> TemplateResponse:
    """Return the page that asks whether and why."""
    chosen = queryset.order_by("pk")
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _("Give up what waits?"),
        "opts": model_admin.model._meta,
        "media": model_admin.media,
        "form": form,
        "rows": chosen[:20],
        "count": queryset.order_by()[: changes.MOST_CHANGED].count(),
        "keys": request.POST.getlist(helpers.ACTION_CHECKBOX_NAME),
        "select_across": request.POST.get("select_across", "0"),
        "has_purchases": queryset.filter(kind="purchases").exists(),
        "may_purchases": may_purchases,
        "action_checkbox_name": helpers.ACTION_CHECKBOX_NAME,
    }
    request.current_app = model_admin.admin_site.name
    return TemplateResponse(request, "topsort_outbox/give_up.html", context)
