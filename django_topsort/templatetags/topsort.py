"""Template tags: ``{% load topsort %}``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import template

from django_topsort.links import build_click_url
from django_topsort.tracking import set_placement, track_impression, track_pageview

if TYPE_CHECKING:
    from django.template.context import Context

register = template.Library()


@register.simple_tag(takes_context=True)
def topsort_impression(context: Context, product: object = None, **fields: Any) -> str:
    """Report that ``product`` was shown, and print nothing. Arguments: as ``track_impression``."""
    track_impression(context.get("request"), product, **fields)
    return ""


@register.simple_tag(takes_context=True)
def topsort_pageview(
    context: Context,
    page_type: str = "other",
    page_id: object = None,
    value: object = None,
    **fields: Any,
) -> str:
    """Report that the page was opened, and print nothing. Arguments: as ``track_pageview``."""
    track_pageview(context.get("request"), page_type, page_id, value, **fields)
    return ""


@register.simple_tag(takes_context=True)
def topsort_placement(context: Context, **fields: Any) -> str:
    """Set the placement for the rest of the template, and print nothing. Fields: of Placement."""
    set_placement(context.get("request"), **fields)
    return ""


@register.simple_tag(takes_context=True)
def topsort_click_url(
    context: Context, target: object, product: object = None, **fields: Any
) -> str:
    """Print a link that counts the click and leads to ``target``. As ``build_click_url``."""
    return build_click_url(context.get("request"), target, product, **fields)
