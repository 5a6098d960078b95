"""django-oscar, also by way of django-oscar-api: one line in ``INSTALLED_APPS`` reports its orders."""

from __future__ import annotations
