"""The shop's settings where it sends nothing by itself: `manage.py topsort_relay` does."""

from __future__ import annotations

from marketplace.settings import *  # noqa: F403 - as settings are made from others

TOPSORT_OUTBOX_RELAY = False
