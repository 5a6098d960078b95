"""Click links: an address of ours that counts the click and leads on to the shop's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import msgspec

from django_topsort.clicks import TARGET_RULE, is_safe_target, sign_click
from django_topsort.delivery import refuse
from django_topsort.events import Click
from django_topsort.exceptions import InvalidEvent
from django_topsort.facts import get_collector, is_ignored
from django_topsort.interactions import build_interaction
from django_topsort.pages import get_click_prefix, keep_for_one

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_topsort.arguments import ClickFields

# What the request in which the click happens says, and not the page that had the link.
REQUEST_FIELDS = {"id": "-", "opaque_user_id": "-", "device_type": None}


def build_click_url(
    request: HttpRequest, target: object, product: object = None, **fields: Unpack[ClickFields]
) -> str:
    """Return a link that reports a click on ``product`` and redirects to ``target``.

    ``target``: a path, or an address of this site or of a host in ``TOPSORT_CLICK_HOSTS``. The rest
    as for ``track_click``. Without consent, for a crawler, and for wrong data while
    ``TOPSORT_STRICT`` does not hold, it returns ``target`` itself: the link leads on anyway. It
    returns ``""``, a link to the page itself, for a target whose text cannot be had.

    Raises InvalidEvent for wrong data while ``TOPSORT_STRICT`` holds, and TopsortConfigurationError
    where ``django_topsort.urls`` is not included.
    """
    text = ""
    try:
        text = "" if target is None else str(target)
        collector = get_collector(request)
        if not is_safe_target(request, text):
            raise InvalidEvent("target", text, TARGET_RULE)
        if is_ignored(request, collector):
            return text
        click = build_interaction(Click, request, collector, product, {**fields, **REQUEST_FIELDS})
        if click is None:
            return text
        if click.resolved_bid_id is not None:
            keep_for_one(request, collector)  # a bid is won for one shopper
        content = msgspec.to_builtins(click)
        for name in ("id", "opaqueUserId", "occurredAt"):
            del content[name]
        link = get_click_prefix(collector) + sign_click(text, content)
        if collector.observer is not None:
            collector.observer.note_told("link", click)
        return link
    except Exception as error:
        refuse("clicks", error, request)
        return text
