"""Rows that are looked at, and written or changed by no form."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.http import HttpRequest


class ReadOnly:
    """Rows that nobody writes or changes by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody may: rows are written by the shop's code."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Nobody may: what was recorded is what is sent."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Nobody may: what waits would be lost unseen; a command deletes dead letters."""
        return False
