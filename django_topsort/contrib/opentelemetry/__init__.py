"""OpenTelemetry: an app that shows all figures through the API's meters."""

from __future__ import annotations
