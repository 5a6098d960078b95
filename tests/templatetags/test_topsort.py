"""The tags in Django's templates."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import Context, Engine, RequestContext, TemplateSyntaxError
from django.test import Client, RequestFactory, override_settings
from django.urls import include, path

from django_topsort.backends.locmem import outbox
from django_topsort.clicks import read_click
from django_topsort.events import Click, Entity, Impression, Page, PageView, Placement
from django_topsort.exceptions import InvalidEvent
from tests.shop.models import Product

BROWSER = {"user-agent": "Mozilla/5.0 Firefox/140.0"}
PREFIX = "/topsort/click/"
WITH_REQUEST = ["django.template.context_processors.request"]

TEMPLATES = {
    "base.html": (
        "{% load topsort %}{% topsort_placement page=2 component='base' %}"
        "{% block content %}{% endblock %}"
    ),
    "child.html": (
        "{% extends 'base.html' %}{% load topsort %}{% block content %}"
        "{% topsort_placement page=3 page_size=24 category_ids='shoes' component='list' %}"
        "{% for product in products %}{% include 'card.html' %}{% endfor %}{% endblock %}"
    ),
    "inherits.html": (
        "{% extends 'base.html' %}{% block content %}"
        "{% for product in products %}{% include 'card.html' %}{% endfor %}{% endblock %}"
    ),
    "card.html": (
        "{% load topsort %}"
        "{% topsort_impression product resolved_bid_id=bid position=forloop.counter %}"
        "<b>{{ product.name }}</b>"
    ),
    "only.html": "{% for product in products %}{% include 'card.html' only %}{% endfor %}",
    "alone.html": "{% include 'alone-card.html' with product='7' only %}",
    "alone-card.html": "{% load topsort %}{% topsort_impression product %}",
}


def build_engine(processors: list[str] = WITH_REQUEST, *, autoescape: bool = True) -> Engine:
    return Engine(
        libraries={"topsort": "django_topsort.templatetags.topsort"},
        loaders=[("django.template.loaders.locmem.Loader", TEMPLATES)],
        context_processors=processors,
        autoescape=autoescape,
    )


@pytest.fixture
def request_() -> HttpRequest:
    return RequestFactory().get("/shoes/", headers=BROWSER)


def render_text(
    request: HttpRequest, text: str, engine: Engine | None = None, **values: Any
) -> str:
    engine = engine or build_engine()
    template = engine.from_string("{% load topsort %}" + text)
    return template.render(RequestContext(request, values, autoescape=engine.autoescape))


def render_name(request: HttpRequest, name: str, **values: Any) -> str:
    return build_engine().get_template(name).render(RequestContext(request, values))


def get_click(url: str) -> tuple[str, dict[str, Any]]:
    assert url.startswith(PREFIX)
    claim = read_click(url.removeprefix(PREFIX))
    return claim.target, claim.fields


def test_impression_tag_records_and_prints_nothing(request_: HttpRequest) -> None:
    text = "[{% topsort_impression product resolved_bid_id=bid position=3 %}]"

    assert render_text(request_, text, product=Product(pk=7), bid="bid-1") == "[]"
    (event,) = outbox
    assert isinstance(event, Impression)
    assert event.resolved_bid_id == "bid-1"
    assert event.placement == Placement(path="/shoes/", position=3)


def test_impression_tag_without_a_bid_is_organic(request_: HttpRequest) -> None:
    render_text(request_, "{% topsort_impression product resolved_bid_id=bid %}", product="7")

    (event,) = outbox
    assert isinstance(event, Impression)
    assert event.entity == Entity(id="7", type="product")


def test_impression_tag_takes_every_value(request_: HttpRequest) -> None:
    text = (
        "{% topsort_impression '7' id='i' opaque_user_id='u' device_type='mobile' channel='offsite'"
        " path='/p' component='c' position=1 page=2 page_size=3 product_id=4 category_ids=ids"
        " search_query='q' external_campaign_id='ec' external_vendor_id='ev' event_page=page %}"
    )

    render_text(request_, text, ids=["a", "b"], page=Page(type="home", page_id="/"))

    (event,) = outbox
    assert isinstance(event, Impression)
    assert event.placement == Placement(
        path="/p/c",
        position=1,
        page=2,
        page_size=3,
        product_id="4",
        category_ids=("a", "b"),
        search_query="q",
    )
    assert (event.id, event.opaque_user_id, event.device_type, event.channel) == (
        "i",
        "u",
        "mobile",
        "offsite",
    )
    assert (event.external_campaign_id, event.external_vendor_id) == ("ec", "ev")
    assert event.page == Page(type="home", page_id="/")


def test_attrs_tag_prints_attributes_and_records_nothing(request_: HttpRequest) -> None:
    text = (
        "{% topsort_placement page=2 component='list' %}"
        "<li {% topsort_attrs product resolved_bid_id=bid position=3 banner=True %}>"
    )

    assert render_text(request_, text, product=Product(pk=7), bid="b'1") == (
        "<li data-ts-product='7' data-ts-resolved-bid='b&#39;1'"
        ' data-ts-placement=\'{"position":3,"page":2,"component":"list"}\' data-ts-banner>'
    )
    assert not outbox


def test_attrs_tag_takes_a_variable_that_is_not_there(request_: HttpRequest) -> None:
    text = (
        "{% topsort_attrs '7' resolved_bid_id=bid position=place action=action banner=is_banner %}"
    )

    assert render_text(request_, text) == "data-ts-product='7'"


def test_attrs_tag_keeps_them_in_a_variable(request_: HttpRequest) -> None:
    text = "{% topsort_attrs '<7>' as attrs %}[{{ attrs }}]"

    assert render_text(request_, text) == "[data-ts-product='&lt;7&gt;']"


def test_attrs_tag_finds_the_request_without_the_context_processor(request_: HttpRequest) -> None:
    assert render_text(request_, "{% topsort_attrs '7' %}", build_engine([])) != ""
    template = build_engine([]).from_string("{% load topsort %}{% topsort_attrs '7' request=r %}")
    assert template.render(Context({"r": request_})) == "data-ts-product='7'"


SCRIPT = (
    '<script src="/static/django_topsort/topsort.js" defer{nonce} data-ts-url="/topsort/v2/events"'
    ' data-ts-clicks="/topsort/click/"{page}></script>'
)


@override_settings(STATIC_URL="/static/")
def test_script_tag_prints_the_script(request_: HttpRequest) -> None:
    assert render_text(request_, "{% topsort_script %}") == SCRIPT.format(nonce="", page="")


@override_settings(STATIC_URL="/static/")
def test_script_tag_tells_the_page_and_the_nonce(request_: HttpRequest) -> None:
    page = (
        ' data-ts-page="{&quot;type&quot;:&quot;search&quot;,&quot;pageId&quot;:&quot;s&quot;,'
        '&quot;value&quot;:&quot;&lt;kettle&gt;&quot;}"'
    )
    text = "{% topsort_script page_type='search' page_id='s' value=query nonce=nonce %}"

    shown = render_text(request_, text, query="<kettle>", nonce="n1")

    assert shown == SCRIPT.format(nonce=' nonce="n1"', page=page)
    assert not outbox


@override_settings(STATIC_URL="/static/")
def test_script_tag_finds_the_nonce_in_the_context(request_: HttpRequest) -> None:
    shown = render_text(request_, "{% topsort_script %}", csp_nonce="n2")

    assert shown == SCRIPT.format(nonce=' nonce="n2"', page="")


def test_script_tag_prints_topsorts_own_script(request_: HttpRequest) -> None:
    shown = render_text(request_, "{% topsort_script provider='analytics.js' src='/ts.js' %}")

    assert shown.endswith('<script src="/ts.js" defer></script>')
    assert "http://testserver/topsort" in shown


def test_pageview_tag_records_and_prints_nothing(request_: HttpRequest) -> None:
    text = "[{% topsort_pageview page_type='category' page_id='shoes' value='shoes' %}]"

    assert render_text(request_, text) == "[]"
    (event,) = outbox
    assert isinstance(event, PageView)
    assert event.page == Page(type="category", page_id="shoes", value="shoes")


def test_pageview_tag_needs_no_argument(request_: HttpRequest) -> None:
    render_text(request_, "{% topsort_pageview %}")

    (event,) = outbox
    assert isinstance(event, PageView)
    assert event.page == Page(type="other", page_id="/shoes/")


@pytest.mark.parametrize(
    ("name", "placement"),
    [
        (
            "child.html",
            {"path": "/shoes/list", "page": 3, "page_size": 24, "category_ids": ("shoes",)},
        ),
        ("inherits.html", {"path": "/shoes/base", "page": 2}),
    ],
)
def test_placement_tag_holds_across_extends_and_include(
    request_: HttpRequest, name: str, placement: dict[str, Any]
) -> None:
    products = [Product(pk=n, name=f"shoe {n}") for n in (1, 2)]

    html = render_name(request_, name, products=products, bid="bid-1")

    assert html == "<b>shoe 1</b><b>shoe 2</b>"
    assert [event.placement for event in outbox if isinstance(event, Impression)] == [
        Placement(**placement, position=1),
        Placement(**placement, position=2),
    ]


def test_tags_find_the_request_where_include_hides_it(request_: HttpRequest) -> None:
    render_name(request_, "alone.html")

    assert len(outbox) == 1


def test_tags_find_the_request_without_the_context_processor(request_: HttpRequest) -> None:
    render_text(request_, "{% topsort_impression '7' %}", build_engine([]))

    assert len(outbox) == 1


def test_tags_take_the_right_request_where_a_variable_has_its_name(
    request_: HttpRequest,
) -> None:
    template = build_engine([]).from_string("{% load topsort %}{% topsort_impression '7' %}")

    template.render(RequestContext(request_, {"request": "for shoes"}))

    assert len(outbox) == 1


@pytest.mark.parametrize(
    "text",
    [
        "{% topsort_impression '7' request=r %}",
        "{% topsort_pageview request=r %}",
        "{% topsort_placement page=2 request=r %}{% topsort_impression '7' request=r %}",
    ],
)
def test_tags_take_the_request_where_a_template_has_none(request_: HttpRequest, text: str) -> None:
    template = build_engine().from_string("{% load topsort %}" + text)

    assert template.render(Context({"r": request_})) == ""
    assert len(outbox) == 1


ALL_TAGS = [
    ("impressions", "{% topsort_impression '7' %}", ""),
    ("pageviews", "{% topsort_pageview %}", ""),
    ("placement", "{% topsort_placement page=1 %}", ""),
    ("clicks", "{% topsort_click_url '/shoe/' '7' %}", "/shoe/"),
]


@pytest.mark.parametrize(("kind", "text", "printed"), ALL_TAGS)
def test_tag_without_a_request_names_the_context_processor(
    kind: str, text: str, printed: str, drops: list[tuple[str, str, int]]
) -> None:
    template = build_engine().from_string("{% load topsort %}" + text)

    assert template.render(Context()) == printed
    assert drops == ([] if kind == "placement" else [(kind, "invalid", 1)])
    with override_settings(TOPSORT_STRICT=True), pytest.raises(InvalidEvent) as caught:
        template.render(Context())
    assert "django.template.context_processors.request" in str(caught.value)


WRONG = [
    ("impressions", "product", "{% topsort_impression missing %}", ""),
    ("impressions", "product", "{% topsort_impression %}", ""),
    ("impressions", "placement.position", "{% topsort_impression '7' position=0 %}", ""),
    ("impressions", "placement.position", "{% topsort_impression '7' position='x' %}", ""),
    ("impressions", "placement.page_size", "{% topsort_impression '7' page_size=-1 %}", ""),
    ("impressions", "opaque_user_id", "{% topsort_impression '7' opaque_user_id=missing %}", ""),
    ("impressions", "device_type", "{% topsort_impression '7' device_type='watch' %}", ""),
    ("impressions", "channel", "{% topsort_impression '7' channel='tv' %}", ""),
    ("impressions", "occurred_at", "{% topsort_impression '7' occurred_at='now' %}", ""),
    ("impressions", "entity.type", "{% topsort_impression '7' entity_type='shop' %}", ""),
    ("impressions", "click_type", "{% topsort_impression '7' click_type='like' %}", ""),
    ("impressions", "context", "{% topsort_impression '7' context=1 %}", ""),
    ("pageviews", "page.type", "{% topsort_pageview 'shelf' %}", ""),
    ("pageviews", "page.type", "{% topsort_pageview missing %}", ""),
    ("pageviews", "page.value", "{% topsort_pageview 'search' value=many %}", ""),
    ("pageviews", "positon", "{% topsort_pageview positon=1 %}", ""),
    ("placement", "colour", "{% topsort_placement colour='red' %}", ""),
    ("placement", "placement.product_id", "{% topsort_placement product_id=many %}", ""),
    ("clicks", "target", "{% topsort_click_url missing '7' %}", ""),
    ("clicks", "target", "{% topsort_click_url '//evil.example/' '7' %}", "//evil.example/"),
    ("clicks", "product", "{% topsort_click_url '/shoe/' missing %}", "/shoe/"),
    ("clicks", "click_type", "{% topsort_click_url '/shoe/' '7' click_type='x' %}", "/shoe/"),
    ("clicks", "placement.page", "{% topsort_click_url '/shoe/' '7' page=0 %}", "/shoe/"),
]


@pytest.mark.parametrize(("kind", "field", "text", "printed"), WRONG)
def test_tag_with_a_wrong_value_lets_the_page_go_on(
    request_: HttpRequest,
    kind: str,
    field: str,
    text: str,
    printed: str,
    drops: list[tuple[str, str, int]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    html = render_text(request_, f"[{text}]", many=["s3cret", "b"])

    assert html == f"[{printed}]"
    assert outbox == []
    assert drops == ([] if kind == "placement" else [(kind, "invalid", 1)])
    (line,) = caplog.records
    reason = "" if kind == "placement" else " reason=invalid"
    assert f"kind={kind}{reason} field={field} " in line.getMessage()
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(("kind", "field", "text", "printed"), WRONG)
def test_tag_with_a_wrong_value_raises_while_strict(
    request_: HttpRequest, kind: str, field: str, text: str, printed: str
) -> None:
    with override_settings(TOPSORT_STRICT=True), pytest.raises(InvalidEvent) as caught:
        render_text(request_, text, many=["a", "b"])

    assert caught.value.field == field


@pytest.mark.parametrize(
    "text",
    [
        "{% topsort_placement 1 %}",
        "{% topsort_impression '7' '8' %}",
        "{% topsort_impression '7' position=1 position=2 %}",
        "{% topsort_click_url %}",
        "{% topsort_pageview 'home' '/' 'x' 'y' %}",
    ],
)
def test_tag_with_arguments_that_cannot_be_is_a_syntax_error(text: str) -> None:
    with pytest.raises(TemplateSyntaxError):
        build_engine().from_string("{% load topsort %}" + text)


def test_click_url_tag_prints_a_link(request_: HttpRequest) -> None:
    text = "{% topsort_click_url '/shoe/7/?a=1&b=2' '7' resolved_bid_id='bid-1' position=3 %}"

    target, fields = get_click(render_text(request_, text))

    assert target == "/shoe/7/?a=1&b=2"
    assert fields["resolvedBidId"] == "bid-1"
    assert fields["placement"] == {"path": "/shoes/", "position": 3}
    assert outbox == []


def test_click_url_tag_takes_the_placement(request_: HttpRequest) -> None:
    text = "{% topsort_placement page=2 %}{% topsort_click_url '/shoe/7/' '7' position=3 %}"

    _, fields = get_click(render_text(request_, text))

    assert fields["placement"] == {"path": "/shoes/", "position": 3, "page": 2}


def test_click_url_tag_can_be_kept_in_a_variable(request_: HttpRequest) -> None:
    text = "{% topsort_click_url '/shoe/7/' '7' as link %}[{{ link }}|{{ link }}]"

    first, _, second = render_text(request_, text).strip("[]").partition("|")

    assert first == second
    assert get_click(first)[0] == "/shoe/7/"


@override_settings(TOPSORT_CONSENT=lambda request: False)
@pytest.mark.parametrize(
    ("autoescape", "printed"), [(True, "/shoe/?a=1&amp;b=%22"), (False, "/shoe/?a=1&b=%22")]
)
def test_click_url_tag_escapes_as_the_template_does(
    request_: HttpRequest, autoescape: bool, printed: str
) -> None:
    text = "{% topsort_click_url target '7' %}"

    html = render_text(
        request_, text, build_engine(autoescape=autoescape), target="/shoe/?a=1&b=%22"
    )

    assert html == printed


def show_list(request: HttpRequest) -> HttpResponse:
    return render(request, "shop/list.html", {"products": [Product(pk=1), Product(pk=2)]})


urlpatterns = [path("shoes/", show_list), path("topsort/", include("django_topsort.urls"))]

LIST = (
    "{% load topsort %}{% topsort_pageview 'category' value='shoes' %}{% for p in products %}"
    "{% topsort_impression p position=forloop.counter %}"
    "<a href='{% topsort_click_url p.get_absolute_url p position=forloop.counter %}'></a>"
    "{% endfor %}"
)


@pytest.mark.urls(__name__)
@override_settings(
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [("django.template.loaders.locmem.Loader", {"shop/list.html": LIST})],
                "libraries": {"topsort": "django_topsort.templatetags.topsort"},
            },
        }
    ]
)
def test_tags_on_a_page_and_a_click_make_one_story() -> None:
    client = Client(headers=BROWSER)

    html = client.get("/shoes/").content.decode()
    response = client.get(html.split("'")[3])

    assert response["Location"] == "/product/2/"
    assert [event.kind for event in outbox] == [
        "pageviews",
        "impressions",
        "impressions",
        "clicks",
    ]
    assert len({event.opaque_user_id for event in outbox}) == 1
    click = outbox[-1]
    assert isinstance(click, Click)
    assert click.entity == Entity(id="2", type="product")
    assert click.placement == Placement(path="/shoes/", position=2)
