"""What the start of a project loads of this package, module by module, in fresh processes.

A start is paid by every process, and what it loads before a server forks is shared by all of them.
The lists are exact: whoever makes the start heavier has to say so here. What stands in none of them
is loaded where it is first needed.
"""

from __future__ import annotations

from typing import Any

import pytest

from django_topsort.testing import FakeApi
from tests.test_imports import run

SET_UP = """
import django
from django.conf import settings
settings.configure(
    SECRET_KEY="tests-only",
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", %s],
    MIDDLEWARE=[%s],
    ROOT_URLCONF="__main__",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    TOPSORT_API_KEY="TSE_tests",
    TOPSORT_API_URL="%s",
)
django.setup()
"""
SERVE = """
from django.core.handlers.wsgi import WSGIHandler
serve = WSGIHandler()
"""
LOAD_TAGS = """
from django.template import engines
engines["django"].from_string("{% load topsort %}")
"""
ASK = """
import io
from django.http import HttpResponse
from django.urls import path
from django_topsort.tracking import track_impression

def show(request):
    assert track_impression(request, "shoe-1") is not None
    return HttpResponse()

def ask(agent=""):
    statuses = []
    given = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_NAME": "shop", "SERVER_PORT": "80"}
    given |= {"wsgi.input": io.BytesIO(), "wsgi.url_scheme": "http"}
    if agent:
        given["HTTP_USER_AGENT"] = agent
    answer = serve(given, lambda status, headers, error=None: statuses.append(status))
    b"".join(answer)
    answer.close()
    assert statuses == ["200 OK"]

urlpatterns = [path("", show)]
"""
CHECK = """
from django.core.checks import run_checks
run_checks()
"""
FLUSH = """
from django_topsort.delivery import flush
assert flush(20)
"""

# What makes and records events, and hands them over.
SETUP_LOADS = {
    "accounts apps arguments backends backends.base celery checks collector conf delivery events",
    "exceptions facts fields ids interactions lineage loading logs offloop parts purchases",
    "purchases.products purchases.registry purchases.values receivers reporting routing setting",
    "shoppers signals tallies threads tracking visits wire",
}
# The engine takes events at the end of a request, which must not wait for it. What posts them is
# loaded by its threads.
HANDLER_LOADS = {
    "backends.thread batches middleware sending sending.backlog sending.circuit sending.crew",
    "sending.farewells",
    "sending.handover sending.lane sending.posting sending.queue sending.refusals sending.sender",
    "sending.sizes sending.taken sending.turn sending.wiring sending.workers",
}
TAGS_LOAD = {
    "attributes bids clicks links pages scripts templatetags templatetags.topsort",
}
PAGE_LOADS = {"programs"}
DELIVERY_LOADS = {"answers backends.connections client exchange timed transport"}
MOST_MODULES = 65  # of this package, at the start with all of the above but the delivery's
# What others bring: msgspec, and what it tries. Requests comes with the first delivery.
ROOTS = {"django_topsort", "msgspec", "__future__", "typing_extensions"}


def name_modules(*lists: set[str]) -> set[str]:
    """Return the full names of the modules in some of the lists above, and the package."""
    names = {name for words in set().union(*lists) for name in words.split()}
    return {"django_topsort", *(f"django_topsort.{name}" for name in names)}


def start(*code: str, url: str = "http://127.0.0.1:9", ours: bool = True) -> set[str]:
    """Return what a new process has loaded that has run ``code``, in an app with or without us."""
    app = '"django_topsort"' if ours else ""
    middleware = '"django_topsort.middleware.TopsortMiddleware"' if ours else ""
    if not ours:
        code = tuple(part.replace("load topsort", "load static") for part in code)
    found: dict[str, Any] = run("".join([SET_UP % (app, middleware, url), *code]))
    return set(found["modules"])


def get_ours(modules: set[str]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] == "django_topsort"}


@pytest.mark.parametrize(
    ("code", "lists"),
    [
        pytest.param([], [SETUP_LOADS], id="setup"),
        pytest.param([SERVE], [SETUP_LOADS, HANDLER_LOADS], id="handler"),
        pytest.param([SERVE, LOAD_TAGS], [SETUP_LOADS, HANDLER_LOADS, TAGS_LOAD], id="tags"),
    ],
)
def test_start_loads_these_modules_and_no_others(code: list[str], lists: list[set[str]]) -> None:
    modules = start(*code)

    assert get_ours(modules) == name_modules(*lists)
    # Neither Django REST framework, nor Requests and all that knows HTTP and TLS, nor what Python
    # has for either: nothing that the same project does not load without this package.
    others = modules - start(*code, ours=False)
    assert {name.partition(".")[0] for name in others} <= ROOTS


def test_start_loads_no_more_modules_than_that() -> None:
    lists = [SETUP_LOADS, HANDLER_LOADS, TAGS_LOAD]

    assert len(name_modules(*lists)) <= MOST_MODULES


def test_first_page_loads_only_the_list_of_crawlers() -> None:
    # But for the list of crawlers, of which docs/servers.md says how to have it before.
    before = start(SERVE, LOAD_TAGS, ASK)
    after = start(SERVE, LOAD_TAGS, ASK + "ask()\n")

    assert get_ours(after) - get_ours(before) <= name_modules(PAGE_LOADS)


def test_event_loads_the_client_in_the_background_and_neither_doors_nor_checks() -> None:
    with FakeApi() as api:
        loaded = start(SERVE, LOAD_TAGS, ASK, "ask('Mozilla/5.0')\n", FLUSH, url=api.url)

    assert len(api.events) == 1
    lists = [SETUP_LOADS, HANDLER_LOADS, TAGS_LOAD, PAGE_LOADS, DELIVERY_LOADS]
    assert get_ours(loaded) == name_modules(*lists)
    roots = {name.partition(".")[0] for name in loaded}
    assert {"requests", "crawleruseragents"} <= roots
    assert roots.isdisjoint({"rest_framework", "jsonschema"})


def test_first_order_loads_what_reads_it() -> None:
    send = (
        "from django_topsort.signals import order_paid\n"
        "lines = [{'product_id': 'shoe-1', 'total': 5, 'quantity': 1}]\n"
        "order = {'number': '7', 'lines': lines}\n"
        "order_paid.send(None, order=order, opaque_user_id='shopper-1')\n"
    )
    with FakeApi() as api:
        loaded = start(send, FLUSH, url=api.url)

    assert [event["id"] for event in api.events] == ["7"]
    assert "django_topsort.purchases.reader" in loaded
    assert "django_topsort.purchases.announcements" not in loaded, "that is for the outbox"


def test_checks_are_loaded_when_django_asks_for_them() -> None:
    before, after = start(ASK), start(ASK, CHECK)

    checks = {name for name in after if name.startswith("django_topsort.checks.")}
    assert {name.rpartition(".")[2] for name in checks} >= {"credentials", "values"}
    assert checks.isdisjoint(before)


@pytest.mark.parametrize("module", ["browser", "rest_framework", "outbox", "testing", "management"])
def test_optional_parts_stay_out(module: str) -> None:
    modules = start(SERVE, LOAD_TAGS)

    assert not any(name.startswith(f"django_topsort.{module}") for name in modules)
