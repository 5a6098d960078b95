"""Settings of the example shop: a plain Django project, and what Topsort needs, marked."""

from __future__ import annotations

import os
from pathlib import Path

import django

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = os.environ.get("SHOP_DEBUG", "1") == "1"
SECRET_KEY = os.environ.get("SHOP_SECRET_KEY", "only-good-enough-for-development")
ALLOWED_HOSTS = os.environ.get("SHOP_HOSTS", "localhost 127.0.0.1 [::1]").split()

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_topsort",  # Topsort: the events
    "django_topsort.outbox",  # Topsort: keeps purchases until Topsort has them
    "shop",
]

MIDDLEWARE = [
    "django_topsort.middleware.TopsortMiddleware",  # Topsort: first, it sees the final status
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

# Topsort: the script is one of the shop's own static files and posts to the shop, so that a strict
# policy need not know of it. Only the colours of the drawings stand in the pages.
SECURE_CSP = {
    "default-src": ["'self'"],
    "style-src-attr": ["'unsafe-inline'"],
    "object-src": ["'none'"],
    "base-uri": ["'none'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
}
MIDDLEWARE.append(
    "django.middleware.csp.ContentSecurityPolicyMiddleware"
    if django.VERSION >= (6, 0)
    else "shop.middleware.ContentSecurityPolicyMiddleware"
)

ROOT_URLCONF = "marketplace.urls"
WSGI_APPLICATION = "marketplace.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",  # Topsort: the tags read the request
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "shop.context_processors.shop",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DATABASE", str(BASE_DIR / "shop.sqlite3")),
        # A second writer waits for its turn instead of failing halfway through a transaction.
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "shop:home"
LOGOUT_REDIRECT_URL = "shop:home"

# Topsort: where the events go, and the key. The defaults suit `manage.py topsort_fake_api`,
# which takes any key that starts with TSE_.
TOPSORT_API_URL = os.environ.get("TOPSORT_API_URL", "http://127.0.0.1:8787")
TOPSORT_API_KEY = os.environ.get("TOPSORT_API_KEY", "TSE_development")
# Topsort: a product is known there under the id of the catalogue that it was given, not our key.
TOPSORT_PRODUCT_ID = "shop.models.get_topsort_id"
TOPSORT_BACKENDS = {
    "default": "django_topsort.backends.thread.EventBackend",
    "purchases": "django_topsort.outbox.backend.EventBackend",
    "overflow": "django_topsort.outbox.backend.EventBackend",
}

# Topsort: with SHOP_TOOLBAR=1 and django-debug-toolbar installed, each page says what it reports.
HAS_TOOLBAR = DEBUG and os.environ.get("SHOP_TOOLBAR") == "1"
if HAS_TOOLBAR:
    INSTALLED_APPS.append("debug_toolbar")
    MIDDLEWARE.insert(1, "debug_toolbar.middleware.DebugToolbarMiddleware")
    INTERNAL_IPS = ["127.0.0.1"]
    DEBUG_TOOLBAR_PANELS = [
        "debug_toolbar.panels.history.HistoryPanel",
        "django_topsort.contrib.debug_toolbar.TopsortPanel",
        "debug_toolbar.panels.timer.TimerPanel",
        "debug_toolbar.panels.request.RequestPanel",
        "debug_toolbar.panels.sql.SQLPanel",
        "debug_toolbar.panels.templates.TemplatesPanel",
        "debug_toolbar.panels.cache.CachePanel",
    ]
