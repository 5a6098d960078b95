"""The template tags for Jinja2, whatever its delimiters.

Add ``"django_topsort.jinja2.TopsortExtension"`` to the ``extensions`` in the engine's ``OPTIONS``.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from django_topsort.attributes import build_attrs
from django_topsort.links import build_click_url
from django_topsort.loading import require
from django_topsort.scripts import build_script
from django_topsort.tracking import set_placement, track_impression, track_pageview

with require("jinja2", needed_by="django_topsort.jinja2"):
    from jinja2 import StrictUndefined, Undefined, nodes
    from jinja2.ext import Extension

if TYPE_CHECKING:
    from jinja2.parser import Parser
    from jinja2.runtime import Context


class TopsortExtension(Extension):
    """``{% topsort_impression product, position=loop.index %}`` and the other tags.

    Arguments are separated by commas or, as in Django's templates, by spaces; but Jinja2 joins two
    quoted texts that have only a space between them. The request is the template's ``request``,
    which Django's Jinja2 engine puts there; a macro that is imported without the context has none,
    and passes ``request=``.
    """

    tags = {
        "topsort_impression",
        "topsort_pageview",
        "topsort_placement",
        "topsort_click_url",
        "topsort_attrs",
        "topsort_script",
    }

    def parse(self, parser: Parser) -> nodes.Node:
        """Return a call of the method that has the tag's name, or raise TemplateSyntaxError."""
        tag = next(parser.stream)
        args: list[nodes.Expr] = []
        kwargs: list[nodes.Keyword] = []
        while parser.stream.current.type != "block_end":
            token = parser.stream.current
            if token.type == "name" and parser.stream.look().type == "assign":
                parser.stream.skip(2)
                if any(keyword.key == token.value for keyword in kwargs):
                    parser.fail(f"{tag.value}: {token.value!r} is given twice", token.lineno)
                kwargs.append(nodes.Keyword(token.value, parser.parse_expression()))
            elif kwargs:
                message = f"{tag.value}: an argument without a name follows one that has one"
                parser.fail(message, token.lineno)
            else:
                args.append(parser.parse_expression())
            parser.stream.skip_if("comma")
        name = f"_{tag.value}"
        try:
            names = {keyword.key: None for keyword in kwargs}
            inspect.signature(getattr(self, name)).bind(None, *args, **names)
        except TypeError as error:
            parser.fail(f"{tag.value}: {error}", tag.lineno)
        call = self.call_method(name, [nodes.ContextReference(), *args], kwargs, lineno=tag.lineno)
        return nodes.Output([call], lineno=tag.lineno)

    def _topsort_impression(
        self, context: Context, /, product: object = None, *, request: Any = None, **fields: Any
    ) -> str:
        request = request or context.get("request")
        track_impression(request, fill(product), **fill_all(fields))
        return ""

    def _topsort_pageview(
        self,
        context: Context,
        /,
        page_type: str = "other",
        page_id: object = None,
        value: object = None,
        *,
        request: Any = None,
        **fields: Any,
    ) -> str:
        request = request or context.get("request")
        page_type, page_id, value = fill(page_type), fill(page_id), fill(value)
        track_pageview(request, page_type, page_id, value, **fill_all(fields))
        return ""

    def _topsort_placement(self, context: Context, /, *, request: Any = None, **fields: Any) -> str:
        set_placement(request or context.get("request"), **fill_all(fields))
        return ""

    def _topsort_click_url(
        self,
        context: Context,
        /,
        target: object,
        product: object = None,
        *,
        request: Any = None,
        **fields: Any,
    ) -> str:
        request = request or context.get("request")
        return build_click_url(request, target, fill(product), **fill_all(fields))

    def _topsort_attrs(
        self, context: Context, /, product: object = None, *, request: Any = None, **fields: Any
    ) -> str:
        request = request or context.get("request")
        return build_attrs(request, fill(product), **fill_all(fields))

    def _topsort_script(
        self,
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
        request = request or context.get("request")
        page_type, page_id, value = fill(page_type), fill(page_id), fill(value)
        if nonce is None:
            nonce = context.get("csp_nonce")
        options = fill_all({"nonce": nonce, "provider": provider, "src": src})
        return build_script(request, page_type, page_id, value, **options)


def fill(value: Any) -> Any:
    """Return an empty text for a variable that the template lacks, as Django's templates do.

    Not where the environment is strict with such variables: then it raises when it is used.
    """
    is_missing = isinstance(value, Undefined) and not isinstance(value, StrictUndefined)
    return "" if is_missing else value


def fill_all(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields, those of variables that the template lacks with an empty text."""
    return {name: fill(value) for name, value in fields.items()}
