"""django-oscar, also by way of django-oscar-api: one line in ``INSTALLED_APPS`` does it."""

from __future__ import annotations
