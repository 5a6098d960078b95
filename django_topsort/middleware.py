"""The middleware: gives a request its collector, and hands over when the request is complete."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.utils.cache import patch_cache_control, patch_vary_headers

from django_topsort.accounts import accounts
from django_topsort.collector import Collector
from django_topsort.conf import topsort_settings
from django_topsort.delivery import deliver_safely, give_up, log_safely
from django_topsort.routing import is_blocking, load_backends, open_backends
from django_topsort.shoppers import USER_HEADER, set_shopper_cookie, sign_shopper

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from django_topsort.events import Event
    from django_topsort.shoppers import Shopper

# What a page shows: nobody saw it on a page that failed. A click or an order happened all the same.
SHOWN_KINDS = frozenset({"impressions", "pageviews"})


class TopsortMiddleware:
    """Sets ``request.topsort``, keeps the shopper's cookie, and sends a request's events.

    First in ``MIDDLEWARE``, so that it sees the status that goes out. Events are handed over once
    the response is there, in a ``finally``: the one point that is reached on every server, also
    when the client leaves or a streaming body fails. ``request_finished`` and ``response.close()``
    are not: under ASGI neither is called for a body that raises, and a response that an outer
    middleware replaces is never closed.
    """

    sync_capable = True
    async_capable = True

    def __init__(
        self,
        get_response: Callable[[HttpRequest], HttpResponseBase]
        | Callable[[HttpRequest], Awaitable[HttpResponseBase]],
    ) -> None:
        self.get_response: Callable[[HttpRequest], Any] = get_response
        load_backends()
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        open_backends()
        earlier = getattr(request, "topsort", None)
        collector = Collector(deliver_safely)
        if isinstance(earlier, Collector):
            if not earlier.is_closed:
                # The middleware is there twice: the outer one sees how the request ends.
                return self.get_response(request)
            # A middleware before this one has tracked something, or watches.
            collector.found, collector.observer = earlier.found, earlier.observer
        request.topsort = collector  # type: ignore[attr-defined]  # our name on the request
        if self._is_async:
            return self._call_async(request, collector)
        response = None
        try:
            response = self.get_response(request)
            see_response(request, response, collector)
        except Exception:
            collector.deliver = deliver_unseen
            raise
        finally:
            hand_over(request, response, collector)
        return response

    async def _call_async(self, request: HttpRequest, collector: Collector) -> HttpResponseBase:
        response: HttpResponseBase | None = None
        try:
            response = await self.get_response(request)
            see_response(request, response, collector)
        except Exception:
            collector.deliver = deliver_unseen
            raise
        finally:
            hand_over(request, response, collector)
        return response


def see_response(request: HttpRequest, response: HttpResponseBase, collector: Collector) -> None:
    """Note how the request ended, and keep the id where one was needed. Never raises.

    It is kept by the cookie and, with ``TOPSORT_USER_HEADER``, by the header of a client that has
    brought no cookie.
    """
    if response.status_code >= 500:
        collector.deliver = deliver_unseen
    shopper: Shopper | None = collector.found.get("shopper")
    if shopper is None:
        if collector.found.get("is_one_visitors"):
            keep_private(response)
        return
    try:
        patch_vary_headers(response, ["Cookie"])
        has_header = topsort_settings.TOPSORT_USER_HEADER is True and shopper.source != "hook"
        if has_header:
            patch_vary_headers(response, [USER_HEADER])
        keep_private(response)
        # The shop's word goes before ours, such as its delete_cookie() for whom withdraws.
        is_said = topsort_settings.TOPSORT_COOKIE_NAME in response.cookies
        if shopper.source == "hook" or is_said:
            return
        if has_header and shopper.source != "cookie":
            response[USER_HEADER] = sign_shopper(shopper.opaque_user_id)
        set_shopper_cookie(request, response, shopper)
    except Exception as error:
        said = "cookie not set; are the TOPSORT_COOKIE_* settings right?"
        log_safely(logging.ERROR, ("cookie",), said, error=error)


def keep_private(response: HttpResponseBase) -> None:
    """Let no shared cache keep a response of one shopper: its next visitors would get the id.

    As the first middleware it sets the cookie after Django's own caching has looked for one.
    """
    header = response.headers.get("Cache-Control")
    if header is None:
        response.headers["Cache-Control"] = "private"
        return
    said = header.lower().split(",")
    if not {"private", "no-store"} & {part.partition("=")[0].strip() for part in said}:
        patch_cache_control(response, private=True)


def hand_over(
    request: HttpRequest, response: HttpResponseBase | None, collector: Collector
) -> None:
    """Send the events: now, or when the response is out if a backend would hold it up."""
    if not can_wait(request, response, collector):
        collector.close()
        return
    close = request.close

    def close_and_send() -> None:
        try:
            close()
        finally:
            collector.close()

    # Django calls it after the last byte, also when another response took this one's place.
    request.close = close_and_send  # type: ignore[method-assign]


def can_wait(request: HttpRequest, response: HttpResponseBase | None, collector: Collector) -> bool:
    """Whether the events should wait for the last byte, and ``request.close()`` will come."""
    if response is None:
        # The client has left while an async view ran: nothing of the request is ever closed.
        return False
    if response.streaming:
        from django.core.handlers.asgi import ASGIRequest  # which is there only under ASGI

        if isinstance(request, ASGIRequest):
            return False  # a body that raises is not closed under ASGI
    elif not len(collector):
        return False
    try:
        return is_blocking()
    except Exception:
        return False  # no backend: the delivery will say so


def deliver_unseen(events: list[Event]) -> None:
    """Deliver the events of a page that failed, less what nobody saw."""
    unseen = [event for event in events if event.kind in SHOWN_KINDS]
    accounts.count_recorded(unseen)
    give_up(unseen, "server_error")
    if others := [event for event in events if event.kind not in SHOWN_KINDS]:
        deliver_safely(others)
