"""The tags in Jinja2, whatever its delimiters."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpRequest
from django.template.backends.jinja2 import Jinja2
from django.test import RequestFactory, override_settings
from jinja2 import (
    ChainableUndefined,
    DictLoader,
    Environment,
    StrictUndefined,
    TemplateSyntaxError,
    UndefinedError,
)

from django_topsort.backends.locmem import outbox
from django_topsort.clicks import read_click
from django_topsort.events import Entity, Impression, Page, PageView, Placement
from django_topsort.exceptions import InvalidEvent
from tests.shop.models import Product

BROWSER = {"user-agent": "Mozilla/5.0 Firefox/140.0"}
EXTENSION = "django_topsort.jinja2.TopsortExtension"
PREFIX = "/topsort/click/"

standard = Environment(extensions=[EXTENSION])
angled = Environment(extensions=[EXTENSION], block_start_string="<%", block_end_string="%>")


@pytest.fixture
def request_() -> HttpRequest:
    return RequestFactory().get("/shoes/", headers=BROWSER)


def get_click(url: str) -> tuple[str, dict[str, Any]]:
    assert url.startswith(PREFIX)
    claim = read_click(url.removeprefix(PREFIX))
    return claim.target, claim.fields


def get_placements() -> list[Placement | None]:
    return [event.placement for event in outbox if isinstance(event, Impression)]


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        (
            standard,
            (
                "{% for p in products %}{% topsort_impression p resolved_bid_id=bid"
                " position=loop.index %}{{ p.name }} {% endfor %}"
            ),
        ),
        (
            angled,
            (
                "<% for p in products %><% topsort_impression p resolved_bid_id=bid"
                " position=loop.index %>{{ p.name }} <% endfor %>"
            ),
        ),
        (
            angled,
            (
                "<% for p in products %><% topsort_impression p, resolved_bid_id=bid,"
                " position=loop.index, %>{{ p.name }} <% endfor %>"
            ),
        ),
        (
            standard,
            (
                "{%- for p in products -%}\n  {%- topsort_impression(p)\n  resolved_bid_id=(bid)\n"
                "  position=loop.index0 + 1 -%}\n{{ p.name }} {% endfor -%}"
            ),
        ),
    ],
)
def test_impression_tag_records_and_prints_nothing(
    request_: HttpRequest, environment: Environment, text: str
) -> None:
    products = [Product(pk=n, name=f"shoe-{n}") for n in (1, 2)]

    html = environment.from_string(text).render(request=request_, products=products, bid="bid-1")

    assert html == "shoe-1 shoe-2 "
    assert [event.resolved_bid_id for event in outbox if isinstance(event, Impression)] == [
        "bid-1",
        "bid-1",
    ]
    assert get_placements() == [
        Placement(path="/shoes/", position=1),
        Placement(path="/shoes/", position=2),
    ]


def test_pageview_tag(request_: HttpRequest) -> None:
    text = "[<% topsort_pageview 'category' page_id='shoes' value=category %>]"

    assert angled.from_string(text).render(request=request_, category=Product(pk=4)) == "[]"

    (event,) = outbox
    assert isinstance(event, PageView)
    assert event.page == Page(type="category", page_id="shoes", value="4")


def test_placement_tag_holds_for_the_rest(request_: HttpRequest) -> None:
    loader = DictLoader(
        {
            "base": "<% block content %><% endblock %>",
            "child": "<% extends 'base' %><% block content %>"
            "<% topsort_placement page=2, component='list', category_ids=ids|map('upper') %>"
            "<% include 'card' %><% include 'card' %><% endblock %>",
            "card": "<% topsort_impression '7' %>",
        }
    )
    environment = angled.overlay(loader=loader)

    environment.get_template("child").render(request=request_, ids=["a", "b"])

    # The filter makes an iterator, which can be read once.
    expected = Placement(path="/shoes/list", page=2, category_ids=("A", "B"))
    assert get_placements() == [expected, expected]


def test_click_url_tag_prints_a_link(request_: HttpRequest) -> None:
    text = "<% topsort_click_url target '7' position=3 %>"

    url = angled.from_string(text).render(request=request_, target="/shoe/7/")

    target, fields = get_click(url)
    assert target == "/shoe/7/"
    assert fields["placement"] == {"path": "/shoes/", "position": 3}


@pytest.mark.parametrize(
    ("autoescape", "printed"), [(True, "/shoe/?a=1&amp;b=2"), (False, "/shoe/?a=1&b=2")]
)
@override_settings(TOPSORT_CONSENT=lambda request: False)
def test_click_url_tag_escapes_as_the_environment_does(
    request_: HttpRequest, autoescape: bool, printed: str
) -> None:
    engine = Jinja2(
        {
            "NAME": "jinja2",
            "DIRS": [],
            "APP_DIRS": False,
            "OPTIONS": {
                "extensions": [EXTENSION],
                "autoescape": autoescape,
                "block_start_string": "<%",
                "block_end_string": "%>",
            },
        }
    )

    template = engine.from_string("<% topsort_click_url target, '7' %>")

    assert template.render({"target": "/shoe/?a=1&b=2"}, request_) == printed


def test_two_quoted_texts_need_a_comma(request_: HttpRequest) -> None:
    separate = standard.from_string("{% topsort_click_url '/shoe/7/', '7' %}")
    joined = standard.from_string("{% topsort_pageview 'ho' 'me' %}")  # as Jinja2 has it

    joined.render(request=request_)

    assert get_click(separate.render(request=request_))[0] == "/shoe/7/"
    (event,) = outbox
    assert isinstance(event, PageView)
    assert event.page.type == "home"


async def test_tags_in_an_async_environment(request_: HttpRequest) -> None:
    environment = Environment(extensions=[EXTENSION], enable_async=True)
    text = "{% topsort_impression '7' %}{% topsort_click_url '/shoe/7/', '7' %}"

    url = await environment.from_string(text).render_async(request=request_)

    assert get_click(url)[0] == "/shoe/7/"
    assert len(outbox) == 1


@pytest.mark.parametrize(
    "call",
    [
        "topsort_impression '7' request=request",
        "topsort_pageview request=request",
        "topsort_placement page=1 request=request",
        "topsort_click_url '/shoe/7/', '7', request=request",
    ],
)
def test_macro_without_the_context_passes_the_request(
    request_: HttpRequest, call: str, drops: list[object]
) -> None:
    macros = f"{{% macro card(request) %}}{{% {call} %}}{{% endmacro %}}"
    environment = standard.overlay(loader=DictLoader({"macros": macros}))
    text = "{% import 'macros' as m %}{{ m.card(request) }}"

    environment.from_string(text).render(request=request_)

    assert drops == []


@pytest.mark.parametrize("undefined", [ChainableUndefined, type(standard.undefined())])
def test_missing_variables_are_absent(request_: HttpRequest, undefined: type[Any]) -> None:
    environment = standard.overlay(undefined=undefined)
    text = (
        "{% topsort_placement search_query=missing page=2 %}"
        "{% topsort_impression '7' resolved_bid_id=missing position=missing %}"
        "{% topsort_pageview page_id=missing value=missing %}"
    )

    environment.from_string(text).render(request=request_)

    impression, pageview = outbox
    assert isinstance(impression, Impression)
    assert impression.entity == Entity(id="7", type="product")
    assert impression.placement == Placement(path="/shoes/", page=2)
    assert isinstance(pageview, PageView)
    assert pageview.page == Page(type="other", page_id="/shoes/")


def test_missing_variables_are_wrong_where_the_environment_is_strict(
    request_: HttpRequest, drops: list[tuple[str, str, int]]
) -> None:
    environment = standard.overlay(undefined=StrictUndefined)
    template = environment.from_string("{% topsort_impression '7' resolved_bid_id=missing %}")

    assert template.render(request=request_) == ""
    assert drops == [("impressions", "invalid", 1)]
    with override_settings(TOPSORT_STRICT=True), pytest.raises(UndefinedError):
        template.render(request=request_)


@pytest.mark.parametrize(
    ("kind", "field", "call", "printed"),
    [
        ("impressions", "product", "topsort_impression missing", ""),
        ("impressions", "placement.position", "topsort_impression '7' position=0", ""),
        ("impressions", "positon", "topsort_impression '7' positon=1", ""),
        ("impressions", "self", "topsort_impression '7' self=1", ""),
        ("impressions", "context", "topsort_impression '7' context=1", ""),
        ("placement", "colour", "topsort_placement colour='red'", ""),
        ("pageviews", "page.type", "topsort_pageview missing", ""),
        ("clicks", "product", "topsort_click_url '/shoe/' missing", "/shoe/"),
        ("clicks", "target", "topsort_click_url missing '7'", ""),
    ],
)
def test_tag_with_a_wrong_value(
    request_: HttpRequest,
    kind: str,
    field: str,
    call: str,
    printed: str,
    drops: list[tuple[str, str, int]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    template = standard.from_string(f"[{{% {call} %}}]")

    assert template.render(request=request_) == f"[{printed}]"
    assert drops == ([] if kind == "placement" else [(kind, "invalid", 1)])
    assert f"field={field} " in caplog.text
    with override_settings(TOPSORT_STRICT=True), pytest.raises(InvalidEvent) as caught:
        template.render(request=request_)
    assert caught.value.field == field


def test_tag_without_a_request_names_the_context_processor() -> None:
    template = standard.from_string("{% topsort_pageview %}")

    with override_settings(TOPSORT_STRICT=True), pytest.raises(InvalidEvent) as caught:
        template.render()

    assert "django.template.context_processors.request" in str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("topsort_impression '7', '8'", "topsort_impression: too many positional arguments"),
        ("topsort_placement 1", "topsort_placement: too many positional arguments"),
        ("topsort_click_url", "topsort_click_url: missing a required argument: 'target'"),
        ("topsort_impression '7' product='8'", "multiple values for argument 'product'"),
        (
            "topsort_impression '7' page=1 page=2",
            "topsort_impression: 'page' is given twice",
        ),
        ("topsort_impression page=1 '7'", "an argument without a name follows one that has one"),
        ("topsort_impression , '7'", "unexpected ','"),
        ("topsort_impression '7',, page=1", "unexpected ','"),
        ("topsort_impression '7' page=", "unexpected"),
        ("topsort_impression '7' )", "unexpected ')'"),
    ],
)
def test_tag_that_is_written_wrongly_is_a_syntax_error(call: str, message: str) -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        standard.from_string(f"first line\n{{% {call} %}}")

    assert message in str(caught.value)
    assert caught.value.lineno == 2


safe = Environment(extensions=[EXTENSION], autoescape=True)


@pytest.mark.parametrize("environment", [standard, safe])
def test_attributes_are_printed_as_they_are(
    request_: HttpRequest, environment: Environment
) -> None:
    text = "<li {% topsort_attrs product, resolved_bid_id=bid, position=3, banner=missing %}>"

    shown = environment.from_string(text).render(request=request_, product=Product(pk=7), bid="b'1")

    assert shown == (
        "<li data-ts-product='7' data-ts-resolved-bid='b&#39;1'"
        " data-ts-placement='{\"position\":3}'>"
    )
    assert not outbox


@pytest.mark.parametrize("environment", [standard, safe])
@pytest.mark.parametrize(
    ("text", "values", "nonce"),
    [
        ("{% topsort_script 'home' %}", {}, ""),
        ("{% topsort_script page_type='home', value=missing, src=missing %}", {}, ""),
        ("{% topsort_script 'home' %}", {"csp_nonce": "n1"}, ' nonce="n1"'),
        ("{% topsort_script 'home' nonce=own %}", {"csp_nonce": "n1", "own": "n2"}, ' nonce="n2"'),
    ],
)
@override_settings(STATIC_URL="/static/")
def test_script_is_printed_as_it_is(
    request_: HttpRequest, environment: Environment, text: str, values: dict[str, Any], nonce: str
) -> None:
    shown = environment.from_string(text).render(request=request_, **values)

    assert shown == (
        f'<script src="/static/django_topsort/topsort.js" defer{nonce}'
        ' data-ts-url="/topsort/v2/events" data-ts-clicks="/topsort/click/"'
        ' data-ts-page="{&quot;type&quot;:&quot;home&quot;,&quot;pageId&quot;'
        ':&quot;/shoes/&quot;}">'
        "</script>"
    )


def test_script_of_topsort_is_printed_as_it_is(request_: HttpRequest) -> None:
    text = "{% topsort_script provider='analytics.js' src='/ts.js' %}"

    shown = safe.from_string(text).render(request=request_)

    assert shown.startswith('<script>window.TS = {"url": "http://testserver/topsort"')


def test_tag_with_an_unknown_option_is_refused_when_the_template_is_read() -> None:
    with pytest.raises(TemplateSyntaxError, match="topsort_script"):
        standard.from_string("{% topsort_script defer=1 %}")
