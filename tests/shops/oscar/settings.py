"""A shop of Oscar: its own apps, templates and search, and of ours one line besides the package."""

from __future__ import annotations

import oscar
from oscar.defaults import *  # noqa: F403 - as Oscar's own documentation has it

from tests.databases import build_file_database

SECRET_KEY = "tests-only"
DEBUG = False
ALLOWED_HOSTS = ["testserver", "localhost"]
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
SITE_ID = 1
INSTALLED_APPS = [
    "django_topsort",
    "django_topsort.outbox",
    "django_topsort.contrib.oscar",
    *oscar.INSTALLED_APPS,
    "rest_framework",
    "oscarapi",
]
# The shop's own copy of Oscar's checkout, as packages for payment ask for.
INSTALLED_APPS[INSTALLED_APPS.index("oscar.apps.checkout.apps.CheckoutConfig")] = (
    "tests.shops.oscar.checkout.apps.CheckoutConfig"
)
MIDDLEWARE = [
    "django_topsort.middleware.TopsortMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "oscar.apps.basket.middleware.BasketMiddleware",
]
ROOT_URLCONF = "tests.shops.oscar.urls"
DATABASES = {
    "default": {
        **build_file_database(),
        "ATOMIC_REQUESTS": False,
        # The relay writes as well: a transaction that reads first would have to give way to it.
        "OPTIONS": {
            "init_command": "PRAGMA synchronous = OFF",
            "transaction_mode": "IMMEDIATE",
            "timeout": 30,
        },
    }
}


class NoMigrations:
    """Makes the tables at once: Oscar's 200 migrations take minutes on a busy machine."""

    def __contains__(self, app: str) -> bool:
        return True

    def __getitem__(self, app: str) -> None:
        return None


MIGRATION_MODULES = NoMigrations()
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
                "oscar.apps.search.context_processors.search_form",
                "oscar.apps.checkout.context_processors.checkout",
                "oscar.apps.communication.notifications.context_processors.notifications",
                "oscar.core.context_processors.metadata",
            ]
        },
    },
]
AUTHENTICATION_BACKENDS = ["oscar.apps.customer.auth_backends.EmailBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# As in Oscar's sandbox: its lists come from an index, and the "simple" one knows no categories.
HAYSTACK_CONNECTIONS = {
    "default": {"ENGINE": "haystack.backends.whoosh_backend.WhooshEngine", "STORAGE": "ram"}
}
HAYSTACK_SIGNAL_PROCESSOR = "haystack.signals.RealtimeSignalProcessor"
STATIC_URL = "/static/"
MEDIA_URL = "/media/"

OSCAR_THUMBNAILER = "tests.shops.oscar.thumbnails.NoThumbnails"
OSCAR_ALLOW_ANON_CHECKOUT = True
OSCAR_PRODUCTS_PER_PAGE = 2
OSCAR_INITIAL_ORDER_STATUS = "Pending"
OSCARAPI_INITIAL_ORDER_STATUS = "Pending"
OSCAR_INITIAL_LINE_STATUS = "Pending"
OSCAR_ORDER_STATUS_PIPELINE = {
    "Pending": ("Paid", "Cancelled"),
    "Paid": ("Shipped", "Cancelled"),
    "Shipped": (),
    "Cancelled": (),
}

TOPSORT_API_KEY = "TSE_tests"
TOPSORT_BACKENDS = {
    "default": "django_topsort.backends.thread.EventBackend",
    "purchases": "django_topsort.outbox.backend.EventBackend",
}
