"""Gunicorn's settings for gevent with --preload: Django must be imported after this.

Otherwise all greenlets of a worker share Django's database connection, and many requests fail.
"""

from __future__ import annotations

from gevent.monkey import patch_all  # type: ignore[import-untyped,unused-ignore]

patch_all()
