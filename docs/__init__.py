"""The documentation site: its pages, and the extension that writes the reference from the code."""

from __future__ import annotations
