"""Template tags of the two templates that add to Oscar's: ``{% load topsort_oscar %}``.

A shop that has its own ``oscar/base.html`` or ``oscar/catalogue/partials/product.html`` in place of
Oscar's may use them there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django import template

from django_topsort.contrib.oscar.pages import report_page, report_product
from django_topsort.delivery import log_safely

if TYPE_CHECKING:
    from django.template.context import Context

register = template.Library()


@register.simple_tag(takes_context=True)
def topsort_oscar_page(context: Context) -> str:
    """Report the page view, and print nothing."""
    return report_quietly(report_page, context)


@register.simple_tag(takes_context=True)
def topsort_oscar_product(context: Context) -> str:
    """Report that the template's ``product`` was shown, and print nothing."""
    return report_quietly(report_product, context)


def report_quietly(report: Callable[..., None], context: Context) -> str:
    """Call ``report``; return an empty text whatever happens: the shop did not write these tags.

    A template that is rendered without a request, such as a mail, reports nothing.
    """
    try:
        request: Any = getattr(context, "request", None) or context.get("request")
        if request is not None:
            report(request, context.flatten())
    except Exception as error:
        key = ("contrib.oscar", report.__name__)
        log_safely(logging.ERROR, key, "page not reported: %s", report.__name__, error=error)
    return ""
