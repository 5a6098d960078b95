"""Where each value of an event came from: an argument, the template, the request, a setting.

It is derived: from which names a call was given, and by asking those who know once more.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
from django.http import HttpRequest

from django_topsort.conf import topsort_settings
from django_topsort.shoppers import USER_HEADER
from django_topsort.visits import get_device_type

if TYPE_CHECKING:
    from django_topsort.collector import Collector
    from django_topsort.contrib.debug_toolbar.recording import Call, Noted

MOBILE_HINT = "HTTP_SEC_CH_UA_MOBILE"
MAX_VALUE = 300  # characters
MAX_FIELDS = 100  # of an event; a purchase may have thousands of items
BROWSER = "what the browser has posted"
BROWSER_ORIGINS = {
    "id": f"{BROWSER}; an id of this shop's where that is no UUID",
    "occurredAt": f"{BROWSER}, or the clock",
    "deviceType": f"{BROWSER}, or its user agent",
    "placement.path": f"{BROWSER}, or the page's address (Referer)",
}
VIEW_MODULE = "django_topsort.rest_framework.views"


class Origins:
    """Says where the values of one request's events came from."""

    def __init__(self, request: HttpRequest, collector: Collector) -> None:
        self._request = request
        self._collector = collector
        match: Any = getattr(request, "resolver_match", None)
        names = (getattr(match, "app_names", None) or [""])[-1], getattr(match, "url_name", "")
        is_link = names == ("django_topsort", "click")
        self._argument = "the signed click link" if is_link else "argument"
        view: Any = getattr(getattr(match, "func", None), "cls", None)
        ours: Any = getattr(sys.modules.get(VIEW_MODULE), "EventsView", None)
        self._is_endpoint = bool(ours and isinstance(view, type) and issubclass(view, ours))

    def explain(self, noted: Noted) -> list[dict[str, str]]:
        """Return the fields of an event as they go out: the name, the value, where it came from."""
        content = msgspec.to_builtins(noted.event)
        fields: list[dict[str, str]] = []
        for name, value in _flatten(content):
            if len(fields) == MAX_FIELDS:
                fields.append({"name": "...", "value": "", "origin": "more of the same"})
                break
            origin = self._find(name, noted)
            fields.append({"name": name, "value": _show(value), "origin": origin})
        return fields

    def _find(self, name: str, noted: Noted) -> str:
        call = noted.call
        if noted.event.kind == "purchases" and not (call and "event" in call.given):
            return self._find_of_order(name)
        if call is None:
            return "not known"
        if "event" in call.given:
            return self._find_of_browser(name) if self._is_endpoint else "the event given to record"
        if name in SHARED:
            field = _to_snake(name)
            return self._argument if field in call.given else SHARED[name](self)
        top, _, part = name.partition(".")
        if noted.event.kind == "pageviews":
            return self._find_of_page(part, call)
        if top == "placement":
            return self._find_of_placement(_to_snake(part), call)
        if top == "entity" and "entity" not in call.given:
            return self._find_of_entity(part, call)
        return self._argument

    def _find_of_placement(self, field: str, call: Call) -> str:
        if "placement" in call.given:
            return self._argument
        origin = self._find_placed(field, call)
        if field != "path":
            return origin
        if "component" in call.given | call.placed:
            origin += f"; its end: {self._find_placed('component', call)}, component"
        return origin

    def _find_placed(self, field: str, call: Call) -> str:
        if field in call.given:
            return self._argument
        return "topsort_placement" if field in call.placed else "the request's path"

    def _find_of_entity(self, part: str, call: Call) -> str:
        if part == "type":
            return self._argument if "entity_type" in call.given else "the default"
        return f"{self._argument}, {call.read}" if call.read else self._argument

    def _find_of_page(self, part: str, call: Call) -> str:
        if part == "type":
            return "argument, or the default" if call.is_other else self._argument
        if part == "pageId":
            return self._argument if "page_id" in call.given else "the request's path"
        return self._argument

    def _find_of_browser(self, name: str) -> str:
        if name == "opaqueUserId":
            return self.find_of_shopper()
        return _find_of_channel(self) if name == "channel" else BROWSER_ORIGINS.get(name, BROWSER)

    def _find_of_order(self, name: str) -> str:
        if name == "opaqueUserId":
            return "who ordered: argument, the order, order_placed or the request, in this order"
        if name in ("deviceType", "channel"):
            return "from where the shopper's id is"
        return "the order, as its reader reads it: manage.py topsort_purchase says more"

    def find_of_shopper(self) -> str:
        """Return where the shopper's id came from."""
        shopper = self._collector.found.get("shopper")
        cookie = topsort_settings.TOPSORT_COOKIE_NAME
        words = {
            "hook": "TOPSORT_USER_ID",
            "cookie": f"the cookie {cookie}",
            "header": f"the header {USER_HEADER}",
            "minted": f"made in this request, which brought no cookie {cookie}",
        }
        return words.get(getattr(shopper, "source", ""), "not known")

    def find_of_device(self) -> str:
        """Return what has said which device it is: asked again without the one header."""
        plain = HttpRequest()
        plain.META = {k: v for k, v in self._request.META.items() if k != MOBILE_HINT}
        if get_device_type(plain) != get_device_type(self._request):
            return "the header Sec-CH-UA-Mobile"
        return "the user agent"


def _find_of_channel(origins: Origins) -> str:
    return "TOPSORT_CHANNEL"


# What every event has, where no argument says it.
SHARED = {
    "id": lambda origins: "made in this request",
    "occurredAt": lambda origins: "the clock",
    "opaqueUserId": Origins.find_of_shopper,
    "deviceType": Origins.find_of_device,
    "channel": _find_of_channel,
}


def _flatten(content: Any, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield each value by its dotted name; a list of texts is one value, one of items is not."""
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _flatten(value, f"{name}.")
        elif isinstance(value, list | tuple) and value and isinstance(value[0], dict):
            for index, item in enumerate(value):
                yield from _flatten(item, f"{name}[{index}].")
        else:
            yield name, value


def _show(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}..."


def _to_snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", name)
