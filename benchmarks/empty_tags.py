"""A tag that does nothing with the arguments of ours: what Django itself asks for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import template

if TYPE_CHECKING:
    from django.template.context import Context

register = template.Library()


@register.simple_tag(takes_context=True)
def empty_impression(
    context: Context, /, product: object = None, *, request: Any = None, **fields: Any
) -> str:
    """Print nothing."""
    return ""
