"""Template tags: ``{% load topsort %}``.

They find the request by themselves. Where a template has none, ``request=`` gives it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import template

from django_topsort.attributes import build_attrs
from django_topsort.links import build_click_url
from django_topsort.scripts import build_script
from django_topsort.tracking import set_placement, track_impression, track_pageview

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.template.context import Context

register = template.Library()


@register.simple_tag(takes_context=True)
def topsort_impression(
    context: Context, /, product: object = None, *, request: Any = None, **fields: Any
) -> str:
    """Report that ``product`` was shown, and print nothing. Arguments: as ``track_impression``."""
    track_impression(request or get_request(context), product, **fields)
    return ""


@register.simple_tag(takes_context=True)
def topsort_pageview(
    context: Context,
    /,
    page_type: str = "other",
    page_id: object = None,
    value: object = None,
    *,
    request: Any = None,
    **fields: Any,
) -> str:
    """Report that the page was opened, and print nothing. Arguments: as ``track_pageview``."""
    track_pageview(request or get_request(context), page_type, page_id, value, **fields)
    return ""


@register.simple_tag(takes_context=True)
def topsort_placement(context: Context, /, *, request: Any = None, **fields: Any) -> str:
    """Set the placement for the rest of the template, and print nothing. Fields: of Placement."""
    set_placement(request or get_request(context), **fields)
    return ""


@register.simple_tag(takes_context=True)
def topsort_click_url(
    context: Context,
    /,
    target: object,
    product: object = None,
    *,
    request: Any = None,
    **fields: Any,
) -> str:
    """Print a link that counts the click and leads to ``target``. As ``build_click_url``."""
    return build_click_url(request or get_request(context), target, product, **fields)


@register.simple_tag(takes_context=True)
def topsort_attrs(
    context: Context, /, product: object = None, *, request: Any = None, **fields: Any
) -> str:
    """Print the attributes from which a browser reports an element. As ``build_attrs``."""
    return build_attrs(request or get_request(context), product, **fields)


@register.simple_tag(takes_context=True)
def topsort_script(
    context: Context,
    /,
    page_type: str | None = None,
    page_id: object = None,
    value: object = None,
    *,
    request: Any = None,
    nonce: object = None,
    provider: str | None = None,
    src: str | None = None,
) -> str:
    """Print the element that loads the script, with which a browser reports. As ``build_script``.

    The nonce of a Content Security Policy is also looked for in the context, as ``csp_nonce``.
    """
    if nonce is None:
        nonce = context.get("csp_nonce")
    request = request or get_request(context)
    return build_script(request, page_type, page_id, value, nonce=nonce, provider=provider, src=src)


def get_request(context: Context) -> HttpRequest:
    """Return the request for which the template is rendered; what is none is refused later.

    A RequestContext knows it also where ``{% include ... only %}`` hides the variable, and where
    the project does without the context processor.
    """
    return getattr(context, "request", None) or context.get("request")  # type: ignore[return-value]
