"""Shops that are supported out of the box: one line in ``INSTALLED_APPS`` each."""

from __future__ import annotations
