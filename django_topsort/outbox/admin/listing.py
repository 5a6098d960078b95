"""The list of rows, which may be a million: in the order of an index, not counted to the end."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator

if TYPE_CHECKING:
    from django.http import HttpRequest

MOST = 10_000  # rows that are counted and can be paged through; filters lead to the others
MOST_WORDS = 100  # that one search looks for


class ShortPaginator(Paginator):  # type: ignore[type-arg]  # it takes none when it runs
    """Pages through the first ten thousand rows, and counts no more than these."""

    @cached_property
    def count(self) -> int:
        """How many rows there are, ``MOST`` where there are more."""
        rows: Any = self.object_list
        return int(rows.order_by()[:MOST].count())


class EventList(ChangeList):
    """The rows with the newest first: the only order that a table of a million has at once."""

    def get_ordering(self, request: HttpRequest, queryset: Any) -> list[Any]:
        """Return the one order, whatever the address says."""
        return ["-pk"]

    def get_queryset(self, request: HttpRequest, *arguments: Any, **options: Any) -> Any:
        """Return the rows without their payloads, which the list does not show."""
        return super().get_queryset(request, *arguments, **options).defer("payload")

    @property
    def is_cut(self) -> bool:
        """Whether there may be more rows than can be paged through."""
        return self.result_count >= MOST


def get_words(text: str) -> list[str]:
    """Return what a search looks for: the text as a whole, and each of its words."""
    whole = text.strip()
    words = whole.replace(",", " ").split()[:MOST_WORDS]
    return sorted({word for word in (whole, *words) if word})
