"""The settings under which the package's own tests run."""

from __future__ import annotations

import os

from tests.databases import build_database, build_file_database

SECRET_KEY = "tests-only"
DEBUG = False
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django_topsort",
    "django_topsort.outbox",
    "tests.shop",
]
MIDDLEWARE = [
    "django_topsort.middleware.TopsortMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "tests.urls"
DATABASES = {
    "default": build_database(os.environ.get("TEST_DATABASE_URL", "")),
    # Where a shop keeps its orders apart from the rest.
    "other": build_file_database(),
}
# The shop has no migrations, and its orders refer to users: their tables must be made in one go.
MIGRATION_MODULES = {"admin": None, "auth": None, "contenttypes": None, "sessions": None}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    },
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

TOPSORT_API_KEY = "TSE_tests"
TOPSORT_BACKENDS = {"default": "django_topsort.backends.locmem.EventBackend"}

# The toolbar is installed for its own tests alone, but reads this once, whenever it is loaded.
DEBUG_TOOLBAR_PANELS = [
    "debug_toolbar.panels.history.HistoryPanel",
    "django_topsort.contrib.debug_toolbar.TopsortPanel",
    "debug_toolbar.panels.redirects.RedirectsPanel",
]
