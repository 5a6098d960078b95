"""What ``celery -A benchmarks.ways.celery_app worker`` runs."""

from __future__ import annotations

import os

from benchmarks.ways.shop import build_celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.ways.settings")
app = build_celery()
