"""django-salesman: one line in ``INSTALLED_APPS`` reports its orders."""

from __future__ import annotations
