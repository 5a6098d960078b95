"""The system checks."""

from __future__ import annotations

from typing import Any

CHECKS: tuple[Any, ...] = ()
