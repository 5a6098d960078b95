"""The libraries that a project may lack, and what of ours then says which package to install.

A new one is a new entry of ``LIBRARIES``: the name that is imported, and for each thing that needs
it the code that uses that thing and a part of what it must say. An empty tuple is for a library
that is looked for and never needed.
"""

from __future__ import annotations

from typing import NamedTuple


class Use(NamedTuple):
    """Something that needs a library: the code that uses it, and what it says without it."""

    code: str
    said: str


def load_app(name: str, config: str) -> str:
    """Return code that does what Django does with an app in INSTALLED_APPS."""
    return f"from {name}.apps import {config}; import {name}; {config}('{name}', {name}).ready()"


TESTING = 'FakeApi needs jsonschema, which is not installed: pip install "django-topsort[testing]"'
LIBRARIES: dict[str, tuple[Use, ...]] = {
    "celery": (
        Use(
            "from django_topsort.backends.celery import get_app; get_app()",
            "django_topsort.backends.celery needs celery, which is not installed:"
            ' pip install "django-topsort[celery]"',
        ),
    ),
    "debug_toolbar": (
        Use(
            "import django_topsort.contrib.debug_toolbar",
            "django_topsort.contrib.debug_toolbar needs django-debug-toolbar, which is not"
            ' installed: pip install "django-topsort[debug-toolbar]"',
        ),
    ),
    "drf_spectacular": (
        Use(
            "import django_topsort.rest_framework.schema",
            "django_topsort.rest_framework.schema needs drf-spectacular, which is not installed:"
            " pip install drf-spectacular",
        ),
    ),
    "gevent": (),
    "jinja2": (
        Use(
            "import django_topsort.jinja2",
            "django_topsort.jinja2 needs jinja2, which is not installed: pip install jinja2",
        ),
        Use(
            "from django.utils.module_loading import import_string;"
            " import_string('django_topsort.jinja2.TopsortExtension')",
            "pip install jinja2",
        ),
    ),
    "jsonschema": (
        Use("from django_topsort.testing import FakeApi; FakeApi()", TESTING),
        Use(
            "from django.core.management import call_command; call_command('topsort_fake_api')",
            TESTING,
        ),
    ),
    "opentelemetry": (
        Use(
            load_app("django_topsort.contrib.opentelemetry", "OpenTelemetryConfig"),
            "django_topsort.contrib.opentelemetry needs opentelemetry-api, which is not installed:"
            ' pip install "django-topsort[opentelemetry]"',
        ),
    ),
    "oscar": (
        Use(
            load_app("django_topsort.contrib.oscar", "OscarConfig"),
            "django_topsort.contrib.oscar needs django-oscar, which is not installed:"
            " pip install django-oscar",
        ),
    ),
    "prometheus_client": (
        Use(
            load_app("django_topsort.contrib.prometheus", "PrometheusConfig"),
            "django_topsort.contrib.prometheus needs prometheus_client, which is not installed:"
            ' pip install "django-topsort[prometheus]"',
        ),
    ),
    "pytest": (),
    "salesman": (
        Use(
            load_app("django_topsort.contrib.salesman", "SalesmanConfig"),
            "django_topsort.contrib.salesman needs django-salesman, which is not installed:"
            " pip install django-salesman",
        ),
    ),
    "uwsgi": (),  # a module that there is only inside of the server
}

# Hides libraries as if they were not installed, and says what became of some lines of code.
HIDE = """
import importlib.machinery, json, sys

ABSENT = set(json.loads(sys.argv[1]))

class Filter:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, *args):
        return None if name.partition(".")[0] in ABSENT else self.finder.find_spec(name, *args)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Filter(finder) for finder in sys.meta_path]
for name in [name for name in sys.modules if name.partition(".")[0] in ABSENT]:
    del sys.modules[name]
"""
TRY = """
def attempt(code):
    try:
        exec(code, {})
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""

print(json.dumps([attempt(code) for code in json.loads(sys.argv[2])]))
"""
SET_UP = """
import django
from django.conf import settings

PAGE = (
    '{% load topsort %}{% topsort_pageview page_type="home" %}{% topsort_impression "p-1" %}'
    '<a href="{% topsort_click_url "/product/" "p-1" %}">p-1</a>'
)
settings.configure(
    SECRET_KEY="tests-only",
    ALLOWED_HOSTS=["testserver"],
    USE_TZ=True,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django_topsort",
                    "django_topsort.outbox"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    MIDDLEWARE=["django_topsort.middleware.TopsortMiddleware"],
    ROOT_URLCONF="__main__",
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "loaders": [("django.template.loaders.locmem.Loader", {"page.html": PAGE})],
            "context_processors": ["django.template.context_processors.request"],
        },
    }],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    TOPSORT_API_KEY="TSE_tests",
    TOPSORT_BACKENDS={"default": "django_topsort.backends.locmem.EventBackend"},
)
django.setup()
"""
VISIT = """
import re

from django.core.management import call_command
from django.shortcuts import render
from django.test import Client
from django.urls import include, path

urlpatterns = [
    path("", lambda request: render(request, "page.html")),
    path("topsort/", include("django_topsort.urls")),
]
call_command("check", "--tag", "topsort", stdout=sys.stderr)
shopper = Client(headers={"user-agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0"})
(link,) = re.findall('href="([^"]+)"', shopper.get("/").content.decode())
assert shopper.get(link.replace("&amp;", "&")).status_code == 302
seen = {"impressions": [{
    "id": "i-1",
    "occurredAt": "2026-01-31T12:00:00Z",
    "opaqueUserId": "shopper-1",
    "entity": {"type": "product", "id": "p-2"},
}]}
answer = shopper.post("/topsort/v2/events", seen, content_type="application/json")
assert answer.status_code == 204, answer.content

from django_topsort.backends.locmem import outbox

kinds = sorted(event.kind for event in outbox)
assert kinds == ["clicks", "impressions", "impressions", "pageviews"], kinds
"""
# Its arguments are the libraries to hide and the lines of code to try, both as JSON.
SCRIPT = f"{HIDE}{SET_UP}{VISIT}{TRY}"
