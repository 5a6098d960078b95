"""What ends the demo before its time."""

from __future__ import annotations


class DemoError(Exception):
    """The demo cannot go on; the message says why, for people."""
