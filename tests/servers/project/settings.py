"""The site's settings; what a test varies comes as JSON in the environment."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

from tests.databases import build_database

SECRET_KEY = "tests-only"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
USE_TZ = True
INSTALLED_APPS = ["django_topsort"]
MIDDLEWARE = [
    "django_topsort.middleware.TopsortMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.middleware.common.CommonMiddleware",
]
DATABASES = {"default": build_database(os.environ.get("TEST_DATABASE_URL", ""))}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["NAME"] = os.environ.get("SITE_DATABASE", ":memory:")
ROOT_URLCONF = "tests.servers.project.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "OPTIONS": {
            "libraries": {"topsort": "django_topsort.templatetags.topsort"},
            "context_processors": ["django.template.context_processors.request"],
            "loaders": [
                (
                    "django.template.loaders.locmem.Loader",
                    {
                        "list.html": (
                            "{% load topsort %}{% topsort_placement page=1 page_size=3 %}"
                            "{% topsort_pageview page_type='category' page_id=page_id %}"
                            "{% for product in products %}"
                            "{% topsort_impression product position=forloop.counter %}"
                            "{{ product }} {% endfor %}"
                        )
                    },
                )
            ],
        },
    }
]
# Without DEBUG, Django would mail errors to nobody instead of writing them where a test finds them.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}
TOPSORT_API_KEY = "TSE_servers"

if "SITE_WATCHED" in os.environ:
    # A file that is loaded, so that the reloader of runserver looks at it.
    sys.path.append(str(Path(os.environ["SITE_WATCHED"]).parent))
    importlib.import_module(Path(os.environ["SITE_WATCHED"]).stem)

if "SITE_IMPORTS" in os.environ:
    # What a project's __init__.py imports.
    importlib.import_module(os.environ["SITE_IMPORTS"])

globals().update(json.loads(os.environ.get("SITE_SETTINGS", "{}")))
