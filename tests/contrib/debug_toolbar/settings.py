"""Settings of a shop whose developer looks at its pages with the Debug Toolbar."""

from __future__ import annotations

import os

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as APPS

DEBUG = True
INTERNAL_IPS = ["127.0.0.1"]
INSTALLED_APPS = [*APPS, "django.contrib.staticfiles", "debug_toolbar"]
MIDDLEWARE = [
    "django_topsort.middleware.TopsortMiddleware",
    "debug_toolbar.middleware.DebugToolbarMiddleware",
    "django.middleware.common.CommonMiddleware",
]
ROOT_URLCONF = "tests.contrib.debug_toolbar.urls"
STATIC_URL = "/static/"
TOPSORT_STRICT = False
# Of the site that tests run in a process of its own.
TOPSORT_API_URL = os.environ.get("TEST_API_URL", "http://127.0.0.1:1")
TOPSORT_BACKENDS = {"default": "django_topsort.backends.thread.EventBackend"}
