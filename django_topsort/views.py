"""The signed click redirect."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from django.http import HttpResponse, HttpResponseRedirect
from django.template import TemplateDoesNotExist
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from django_topsort.delivery import log_safely
from django_topsort.exceptions import InvalidToken
from django_topsort.following import follow_click

if TYPE_CHECKING:
    from django.http import HttpRequest

STATUSES = {"tampered": 404, "expired": 410}
REFUSED_TEMPLATE = "django_topsort/click_refused.html"
REFUSED_TEXT = "This link does not work any more. Please go back and try again."
HEADERS = {
    "Cache-Control": "no-store, private",  # each click must come here, and belongs to one shopper
    "Referrer-Policy": "same-origin",  # the token is nobody else's business
    "X-Robots-Tag": "noindex, nofollow",
}


@require_safe
def click(request: HttpRequest, token: str) -> HttpResponse:
    """Report the click that ``token`` says and redirect (302) to where it leads.

    A token that is forged or foreign is answered with 404, one that is too old with 410, both with
    a plain page (``django_topsort/click_refused.html``); neither leads anywhere.
    """
    response: HttpResponse
    try:
        response = HttpResponseRedirect(follow_click(request, token))
    except InvalidToken as error:
        # Anybody can send as many as he likes.
        key = ("click refused", error.reason)
        log_safely(logging.INFO, key, "click refused reason=%s", error.reason)
        status = STATUSES[error.reason]
        response = build_refusal(request, error.reason, status)
    for name, value in HEADERS.items():
        response[name] = value
    return response


def build_refusal(request: HttpRequest, reason: str, status: int) -> HttpResponse:
    """Return the page for a link that leads nowhere."""
    try:
        page = render_to_string(REFUSED_TEMPLATE, {"reason": reason}, request)
    except TemplateDoesNotExist:
        # A project whose only engine is Jinja2, or that does not look into apps for templates.
        return HttpResponse(REFUSED_TEXT, status=status, content_type="text/plain; charset=utf-8")
    return HttpResponse(page, status=status)
