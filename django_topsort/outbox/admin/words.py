"""What a row is and how it stands, in words."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.utils.formats import localize
from django.utils.html import format_html, format_html_join
from django.utils.timesince import timesince, timeuntil
from django.utils.timezone import is_aware, localtime
from django.utils.translation import gettext as _

from django_topsort.outbox.clock import get_host_time
from django_topsort.outbox.models import WAITING, Status

if TYPE_CHECKING:
    from django.utils.safestring import SafeString

    from django_topsort.outbox.models import OutboxEvent

DOC_URL = re.compile(r"docUrl=(https://[^\s\"'<>]+?)(?=[:,.]?(?:\s|$))")


def name(row: OutboxEvent) -> str:
    """Return what a row is: an event's id, or that an order was announced."""
    if row.is_announcement and row.status in WAITING:
        return _("order %(number)s announced, waits for its commit") % {"number": row.event_id}
    if row.is_announcement:
        return _("order %(number)s announced, and never read") % {"number": row.event_id}
    return row.event_id


def can(action: str, row: OutboxEvent) -> bool:
    """Whether an action would change the row as it stands."""
    if action == "send_again":
        return row.status in {Status.REJECTED, Status.DEAD}
    is_free = row.status in WAITING and not (row.lease_token and row.due_at > get_host_time())
    return is_free and (action != "send_now" or row.due_at > get_host_time())


def say_age(row: OutboxEvent) -> str:
    """Return for how long the row has been there."""
    return timesince(row.created_at, get_host_time())


def say_due(row: OutboxEvent) -> str:
    """Return when it is tried next; what is leased is being sent."""
    if row.status not in WAITING:
        return "-"
    now = get_host_time()
    if row.due_at <= now:
        return _("now")
    if row.lease_token:
        return _("being sent at this moment")
    if row.due_at - now < timedelta(minutes=1):
        return _("within a minute")
    return _("in %(time)s") % {"time": timeuntil(row.due_at, now)}


def say_reason(row: OutboxEvent) -> str:
    """Return why the row is where it is, in words."""
    if row.status == Status.DELIVERED:
        return "-"
    if row.last_error:
        return row.last_error
    return _("not tried yet") if row.status in WAITING else "-"


def link(text: str) -> SafeString:
    """Return a text as HTML in which the address of Topsort's page is a link."""
    found = DOC_URL.search(text)
    if found is None:
        return format_html("{}", text)
    return format_html(
        '{}docUrl=<a href="{}" rel="noopener noreferrer">{}</a>{}',
        text[: found.start()],
        found[1],
        found[1],
        text[found.end() :],
    )


def list_moments(row: OutboxEvent) -> SafeString:
    """Return what the row tells of its past, in order."""
    moments = [
        (_("it happened"), row.occurred_at),
        (_("it was written into the outbox, or chosen to be sent again"), row.created_at),
    ]
    if row.settled_at is not None:
        moments.append((str(row.get_status_display()), row.settled_at))
    elif row.due_at > row.created_at:
        moments.append((_("it is due"), row.due_at))
    items = format_html_join(
        "", "<li>{}: {}</li>", ((said, say_moment(at)) for said, at in moments)
    )
    return format_html('<ul class="topsort-moments">{}</ul>', items)


def say_moment(moment: datetime) -> str:
    """Return a moment as the admin's readers have it."""
    return str(localize(localtime(moment) if is_aware(moment) else moment))
