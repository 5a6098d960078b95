"""The shop's settings, of its web processes and of its workers: all by the environment.

``WAY``: one of ``WAYS``. ``SINK``: where events go. ``SHOP_DATABASE``: a file for SQLite, or the
address of a PostgreSQL server. ``SHOP_BROKER``: the address of Celery's broker.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from benchmarks.ways import NOTHING

WAY = os.environ["WAY"]
BACKENDS = {
    NOTHING: "django_topsort.backends.dummy.EventBackend",
    "thread": "django_topsort.backends.thread.EventBackend",
    "outbox": "django_topsort.outbox.backend.EventBackend",
    "celery": "django_topsort.backends.celery.EventBackend",
    "tasks": "django_topsort.backends.tasks.EventBackend",
}


def build_database(address: str) -> dict[str, Any]:
    """Return the entry of DATABASES for a file, or for ``postgresql://user@/name?host=...``."""
    if "://" not in address:
        options = {
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        }
        engine = "django.db.backends.sqlite3"
        return {"ENGINE": engine, "NAME": address, "OPTIONS": options}
    parts = urlsplit(address)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": parts.username or "",
        "PASSWORD": parts.password or "",
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "OPTIONS": dict(parse_qsl(parts.query)),
        "CONN_MAX_AGE": 60,
    }


SECRET_KEY = "of-a-benchmark" * 4
ALLOWED_HOSTS = ["shop.example"]
USE_TZ = True
ROOT_URLCONF = "benchmarks.ways.shop"
INSTALLED_APPS = ["django_topsort", "django_topsort.outbox"]
MIDDLEWARE = ["django_topsort.middleware.TopsortMiddleware"]
DATABASES = {"default": build_database(os.environ["SHOP_DATABASE"])}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TOPSORT_API_KEY = "TSE_benchmarks"
TOPSORT_API_URL = os.environ["SINK"]
TOPSORT_BACKENDS = {"default": BACKENDS[WAY]}
CELERY_BROKER_URL = os.environ.get("SHOP_BROKER", "")
CELERY_TASK_IGNORE_RESULT = True
if WAY == "tasks":
    INSTALLED_APPS += os.environ["SHOP_TASKS_APPS"].split()
    TASKS = {"default": {"BACKEND": os.environ["SHOP_TASKS_BACKEND"]}}
