"""What the site is built with, besides Sphinx."""

from __future__ import annotations
