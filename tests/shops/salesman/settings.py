"""A shop made as Salesman's documentation says, with what README and docs/shops.md add."""

from __future__ import annotations

import django

SECRET_KEY = "tests-only"
DEBUG = False
ALLOWED_HOSTS = ["testserver"]
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "salesman.core",
    "salesman.basket",
    "salesman.checkout",
    "salesman.orders",
    "salesman.admin",
    "rest_framework",
    "tests.shops.salesman.apps.CatalogueConfig",
    "django_topsort",
    "django_topsort.outbox",
    "django_topsort.contrib.salesman",
]
if django.VERSION >= (6, 0):  # of Salesman there is no version for it
    INSTALLED_APPS = [name for name in INSTALLED_APPS if "salesman" not in name or "tests" in name]
MIDDLEWARE = [
    "django_topsort.middleware.TopsortMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "tests.shops.salesman.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
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
STATIC_URL = "static/"

SALESMAN_PRODUCT_TYPES = {
    "catalogue.Product": "tests.shops.salesman.serializers.ProductSerializer",
    "catalogue.Variant": "tests.shops.salesman.serializers.VariantSerializer",
}
SALESMAN_BASKET_MODIFIERS = [
    "tests.shops.salesman.modifiers.ThreeForTwo",
    "tests.shops.salesman.modifiers.Shipping",
]
SALESMAN_PAYMENT_METHODS = [
    "tests.shops.salesman.payment.PayInAdvance",
    "tests.shops.salesman.payment.PayLater",
    "tests.shops.salesman.payment.PayOnDelivery",
    "tests.shops.salesman.payment.CreditCard",
    "tests.shops.salesman.payment.HostedPage",
    "tests.shops.salesman.payment.Refusing",
]

TOPSORT_API_KEY = "TSE_tests"
TOPSORT_BACKENDS = {
    "default": "django_topsort.backends.thread.EventBackend",
    "purchases": "django_topsort.outbox.backend.EventBackend",
    "overflow": "django_topsort.outbox.backend.EventBackend",
}
