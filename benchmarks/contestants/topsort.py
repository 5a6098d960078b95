"""Our own package: an impression in a view, sent by the thread backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.contestants.impressions import AGENT, PAGE, PAGE_SIZE, PATH, USER

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from django.http import HttpRequest, HttpResponse


class Contestant:
    """Default settings: only the key and the address are set.

    A page is what the middleware makes of one: ``TopsortMiddleware`` runs around a view that is
    suspended while ``record`` is called. That is an async view, which needs no event loop here,
    because a view that is not async cannot be left halfway. The shopper comes back: the cookie is
    there.
    """

    requirement = "django-topsort"

    def start(self, url: str) -> None:
        """Set Django up with the package alone, and make a request."""
        import django
        from django.conf import settings

        settings.configure(
            ALLOWED_HOSTS=["*"],
            INSTALLED_APPS=["django_topsort"],
            SECRET_KEY="benchmarks",
            TOPSORT_API_KEY="TSE_benchmarks",
            TOPSORT_API_URL=url,
        )
        django.setup()
        from django.http import HttpResponse
        from django.test import RequestFactory

        from django_topsort.conf import topsort_settings
        from django_topsort.middleware import TopsortMiddleware
        from django_topsort.tracking import set_placement, track_impression

        cookie = f"{topsort_settings.TOPSORT_COOKIE_NAME}={USER}"
        factory = RequestFactory(headers={"user-agent": AGENT, "cookie": cookie})
        self._first_request: HttpRequest = factory.get(PATH)
        self._set_placement = set_placement
        self._track = track_impression
        self._middleware: Callable[[HttpRequest], Any] = TopsortMiddleware(show_page)
        self._response = HttpResponse

    def begin_page(self) -> None:
        """Let a new request come as far as the view, and say there where the products are shown."""
        first = self._first_request
        # A copy: nothing that an earlier page has found out about its request helps this one.
        request = self._request = type(first).__new__(type(first))
        vars(request).update(vars(first))
        self._page: Coroutine[Any, HttpResponse, HttpResponse] = self._middleware(request)
        self._page.send(None)  # it begins
        self._set_placement(request, page=PAGE, page_size=PAGE_SIZE)

    def record(self, bid: str, position: int) -> None:
        """Record an impression in the view."""
        self._track(self._request, resolved_bid_id=bid, position=position)

    def end_page(self) -> None:
        """Return from the view."""
        try:
            self._page.send(self._response())
        except StopIteration:
            return
        message = "the middleware has not returned"
        raise RuntimeError(message)

    def flush(self, timeout: float) -> None:
        """Wait until the queue is empty."""
        from django_topsort.delivery import flush

        flush(timeout)


class Suspension:
    """What a view waits for until its page ends: it is given the response then."""

    def __await__(self) -> Any:
        return (yield)


async def show_page(request: HttpRequest) -> HttpResponse:
    """Be the view, which is suspended until ``end_page``."""
    response: HttpResponse = await Suspension()
    return response
