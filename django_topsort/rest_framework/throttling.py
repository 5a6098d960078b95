"""How many requests with events one shopper, and one address, may make.

Counted in fixed windows, by two calls of Django's default cache at most, which should be one that
all processes share. Django REST framework's own throttles keep a list of all the times of a window,
and write it anew with each request.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rest_framework.throttling import BaseThrottle

from django_topsort.browser.intake import find_shopper
from django_topsort.conf import topsort_settings
from django_topsort.facts import get_collector
from django_topsort.pages import may_track
from django_topsort.traffic import build_key, count_up, read_rate

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView


class WindowThrottle(BaseThrottle):
    """Counts the requests of whoever ``get_name`` names; lets all through where nobody is named.

    ``setting``: the name of the one with the rate, which is read at each use. A cache that is down,
    and a rate that is none, let everything through.
    """

    setting = ""

    def __init__(self) -> None:
        self._wait: float | None = None

    def get_name(self, request: Request) -> str | None:
        """Return what stands for the client."""
        raise NotImplementedError

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Whether this request is one of those that the rate allows."""
        rate = read_rate(getattr(topsort_settings, self.setting))
        name = None if rate is None else self.get_name(request)
        if rate is None or name is None:
            return True
        window, since = divmod(time.time(), rate.seconds)
        key = build_key("requests", self.setting, str(int(window)), name)
        if count_up(key, 1, rate.number, rate.seconds):
            return True
        self._wait = rate.seconds - since
        return False

    def get_ident(self, request: Request) -> str:
        """Return the client's address, as Django REST framework finds it."""
        meta = request._request.META
        if "HTTP_X_FORWARDED_FOR" not in meta:
            # What it returns then; to find out, it makes an object of all the request's headers.
            return meta.get("REMOTE_ADDR")  # type: ignore[return-value]  # as there
        return super().get_ident(request)

    def wait(self) -> float | None:
        """Return in how many seconds the next request is allowed."""
        return self._wait


class ShopperThrottle(WindowThrottle):
    """Counts by the shopper's id; a client that brings none is counted by its address alone."""

    setting = "TOPSORT_EVENTS_THROTTLE_RATE"

    def get_name(self, request: Request) -> str | None:
        """Return the shopper's id, None without consent."""
        django_request = request._request
        collector = get_collector(django_request)
        if not may_track(django_request, collector):
            return None
        shopper = find_shopper(django_request, collector)
        return None if shopper is None else shopper.cache_name


class AddressThrottle(WindowThrottle):
    """Counts by the client's address, behind as many proxies as ``NUM_PROXIES`` of DRF says."""

    setting = "TOPSORT_EVENTS_ADDRESS_THROTTLE_RATE"

    def get_name(self, request: Request) -> str | None:
        """Return the address."""
        return self.get_ident(request)
