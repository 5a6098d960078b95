from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from oscar.core.thumbnails import AbstractThumbnailer


class NoThumbnails(AbstractThumbnailer):  # type: ignore[misc]  # Oscar has no types
    """Makes no pictures, so that no library for it is needed."""

    def generate_thumbnail(self, source: Any, **opts: Any) -> Any:
        return SimpleNamespace(url="/thumbnail.png", width=1, height=1)

    def delete_thumbnails(self, source: Any) -> None:
        """There are none."""
