"""Reporting what an API's lists show: one impression for each object that was serialized."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from rest_framework.filters import SearchFilter
from rest_framework.pagination import LimitOffsetPagination, PageNumberPagination
from rest_framework.serializers import ListSerializer

from django_topsort.conf import topsort_settings
from django_topsort.delivery import refuse
from django_topsort.exceptions import InvalidEvent
from django_topsort.facts import get_collector, get_request_shopper, is_ignored
from django_topsort.fields import MAX_TEXT
from django_topsort.tracking import track_impression

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.response import Response

REPORTS = ("rendered", "seen")
REPORTS_RULE = (
    'it must be "rendered", where the server reports what it lists, or "seen", where clients report'
    " what people see"
)


def find_bid(shown: object) -> str | None:
    """Return the bid that an object has as ``resolved_bid_id``, an attribute or a key."""
    if isinstance(shown, Mapping):
        return shown.get("resolved_bid_id")
    return getattr(shown, "resolved_bid_id", None)


def note_shown(serializer: Any) -> deque[Any]:
    """Let the serializer of a list note what it shows, and return what it will have noted."""
    # Not the queryset: a ListSerializer may leave some out, and another look would query.
    shown: deque[Any] = deque()
    represent_list, represent = serializer.to_representation, serializer.child.to_representation

    def represent_anew(data: Any) -> Any:
        shown.clear()  # such as for a checksum first, and then for the answer
        return represent_list(data)

    def represent_and_note(obj: Any) -> Any:
        data = represent(obj)
        shown.append(obj)
        return data

    serializer.to_representation = represent_anew
    serializer.child.to_representation = represent_and_note
    return shown


class ReportsImpressions:
    """Put before a list view of Django REST framework, it reports what a list's page shows.

    ``class Products(ReportsImpressions, ListAPIView)``, and viewsets alike. After a list that
    succeeds there is an impression for each object that ``get_serializer(..., many=True)`` has
    serialized, at its place in the page: no query more. Nothing is reported where
    ``topsort_reports`` is ``"seen"``: then the client reports what people see, to the endpoint, and
    with ``TOPSORT_USER_HEADER`` it gets its id by the list.

    ``topsort_placement``: more fields of the placement, as ``topsort_placement`` in a template
    takes them. Wrong data raises while ``TOPSORT_STRICT`` holds, and is logged, counted and left
    out otherwise: then nothing raises into the API.
    """

    topsort_reports: ClassVar[Literal["rendered", "seen"]] = "rendered"
    topsort_placement: ClassVar[Mapping[str, Any]] = {}
    _topsort_shown: deque[deque[Any]] | None = None

    def get_topsort_placement(self) -> Mapping[str, Any]:
        """Return the fields of the placement that all objects of the list share."""
        return self.topsort_placement

    def get_topsort_product(self, obj: Any) -> object:
        """Return the product that ``obj`` shows, such as that of an offer; ``obj`` by default."""
        return obj

    def get_resolved_bid_id(self, obj: Any) -> str | None:
        """Return the bid for which ``obj`` is listed, None where it is not sponsored."""
        return find_bid(obj)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return the list, and report what it shows."""
        lists: deque[deque[Any]] = deque()
        self._topsort_shown = lists
        try:
            response: Response = super().list(request, *args, **kwargs)  # type: ignore[misc]  # a mixin
        finally:
            self._topsort_shown = None  # what the browsable API serializes afterwards is not shown
        if response.status_code < 300:
            self._report_shown(request, lists)
        return response

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        """Return the serializer; that of a list notes which objects it is given to show."""
        serializer: Any = super().get_serializer(*args, **kwargs)  # type: ignore[misc]  # a mixin
        if self._topsort_shown is not None and isinstance(serializer, ListSerializer):
            self._topsort_shown.append(note_shown(serializer))
        return serializer

    def _report_shown(self, request: Request, lists: Sequence[deque[Any]]) -> None:
        try:
            if self.topsort_reports not in REPORTS:
                raise InvalidEvent("topsort_reports", self.topsort_reports, REPORTS_RULE)
            if self.topsort_reports == "seen":
                self._name_shopper(request)
                return
            shown: deque[Any] = deque()
            for index, one in enumerate(lists):
                # The same objects in the same order are one list that was serialized twice.
                if one not in islice(lists, index):
                    shown += one
            if not shown:
                return
            fields = {**self._find_page(request), **self.get_topsort_placement()}
        except Exception as error:
            refuse("impressions", error, request)
            return
        for position, obj in enumerate(shown, start=1 + self._find_offset()):
            try:
                product = self.get_topsort_product(obj)
                bid = self.get_resolved_bid_id(obj)
            except Exception as error:
                refuse("impressions", error, request)
                continue
            own = {"position": position, **fields}
            track_impression(request, product, resolved_bid_id=bid, **own)

    def _name_shopper(self, request: Any) -> None:
        """Let the answer have the id of a client without cookies: its first posts may be two."""
        if topsort_settings.TOPSORT_USER_HEADER is not True:
            return  # a cookie would keep each list from shared caches
        try:
            collector = get_collector(request)
            if not is_ignored(request, collector):
                get_request_shopper(request, collector)
        except Exception as error:
            refuse("shopper", error, request)  # no event is lost by it

    def _find_page(self, request: Request) -> dict[str, Any]:
        """Return what the view knows of its page: which it is, how long, and what was searched."""
        found: dict[str, Any] = {}
        view: Any = self
        paginator = view.paginator
        page = getattr(paginator, "page", None)  # None where the list is not paginated after all
        if isinstance(paginator, PageNumberPagination) and page is not None:
            found["page"] = page.number
            found["page_size"] = page.paginator.per_page
        for backend in view.filter_backends:
            # Django REST framework takes whatever makes a filter, such as a partial.
            if isinstance(backend, type) and issubclass(backend, SearchFilter):
                # Anybody can search for more than a field may hold.
                said = request.query_params.get(backend.search_param, "").strip()[:MAX_TEXT]
                if said:
                    found["search_query"] = said
        return found

    def _find_offset(self) -> int:
        """Return how many objects of the list stand before the page, where no page has a number."""
        view: Any = self
        paginator = view.paginator
        if not isinstance(paginator, LimitOffsetPagination):
            return 0
        return getattr(paginator, "offset", 0)  # none where the list is not paginated after all
