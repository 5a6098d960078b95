"""Report impressions, clicks, purchases and page views of a Django marketplace to Topsort."""

from __future__ import annotations

__version__ = "0.1.0"
