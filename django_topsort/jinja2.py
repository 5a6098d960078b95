"""The template tags for Jinja2, whatever its delimiters.

Add ``"django_topsort.jinja2.TopsortExtension"`` to the ``extensions`` in the engine's ``OPTIONS``.
"""

from __future__ import annotations

from typing import Any, ClassVar

from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context

from django_topsort.links import build_click_url
from django_topsort.tracking import set_placement, track_impression, track_pageview


class TopsortExtension(Extension):
    """``{% topsort_impression product, position=loop.index %}`` and the other tags.

    Arguments are separated by spaces, as in Django's templates, or by commas. The tags need
    ``request`` in the template's context, where Django's Jinja2 engine puts it.
    """

    tags: ClassVar[set[str]] = {
        "topsort_impression",
        "topsort_pageview",
        "topsort_placement",
        "topsort_click_url",
    }

    def parse(self, parser: Parser) -> nodes.Node:
        """Return a call of the method that has the tag's name."""
        name = next(parser.stream)
        args: list[nodes.Expr] = [nodes.ContextReference()]
        kwargs: list[nodes.Keyword] = []
        while parser.stream.current.type != "block_end":
            parser.stream.skip_if("comma")
            token = parser.stream.current
            if token.type == "name" and parser.stream.look().type == "assign":
                parser.stream.skip(2)
                kwargs.append(nodes.Keyword(token.value, parser.parse_expression()))
            elif kwargs:
                parser.fail("an argument without a name follows one that has one", token.lineno)
            else:
                args.append(parser.parse_expression())
        call = self.call_method(f"_{name.value}", args, kwargs, lineno=name.lineno)
        return nodes.Output([call], lineno=name.lineno)

    def _topsort_impression(self, context: Context, product: object = None, **fields: Any) -> str:
        track_impression(context.get("request"), product, **fields)
        return ""

    def _topsort_pageview(
        self,
        context: Context,
        page_type: str = "other",
        page_id: object = None,
        value: object = None,
        **fields: Any,
    ) -> str:
        track_pageview(context.get("request"), page_type, page_id, value, **fields)
        return ""

    def _topsort_placement(self, context: Context, **fields: Any) -> str:
        set_placement(context.get("request"), **fields)
        return ""

    def _topsort_click_url(
        self, context: Context, target: object, product: object = None, **fields: Any
    ) -> str:
        return build_click_url(context.get("request"), target, product, **fields)
