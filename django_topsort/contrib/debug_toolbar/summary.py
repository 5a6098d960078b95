"""What the panel shows of one request, as plain values that any store of the toolbar can keep."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django_topsort.contrib.debug_toolbar import wording
from django_topsort.contrib.debug_toolbar.bodies import build_bodies, build_process_state
from django_topsort.contrib.debug_toolbar.origins import Origins
from django_topsort.contrib.debug_toolbar.recording import Recorder, build_name
from django_topsort.events import Click, Impression, PageView, Purchase
from django_topsort.middleware import SHOWN_KINDS
from django_topsort.parts import Page
from django_topsort.shoppers import has_consent
from django_topsort.visits import get_ignore_reason

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from django_topsort.collector import Collector
    from django_topsort.events import Event
    from django_topsort.parts import Part

MAX_RULES = 5  # of the endpoint's answer, for each kind
MISPLACED = (
    "TopsortMiddleware stands behind the toolbar's: put it first in MIDDLEWARE, so that it sees how"
    " a request ends"
)
ABSENT = (
    "TopsortMiddleware is not in MIDDLEWARE: put it first. Events leave one by one, and no cookie"
    " keeps the shopper's id"
)
STREAMS = "The response is a stream: what is recorded on its way is shown here when it has ended."


class Summary:
    """Sums up what ``recorder`` has noted of a request that was answered with ``response``."""

    def __init__(
        self,
        recorder: Recorder,
        request: HttpRequest,
        response: HttpResponseBase,
        collector: Collector,
    ) -> None:
        self._recorder = recorder
        self._request = request
        self._response = response
        self._collector = collector
        self._has_failed = response.status_code >= 500

    def build(self, warnings: list[str]) -> dict[str, Any]:
        """Return what is shown; ``warnings``: what else somebody should know."""
        recorder = self._recorder
        origins = Origins(self._request, self._collector)
        noted = list(recorder.noted)
        left_out = list(self._list_left_out())
        kept = [one.event for one in noted if not self._get_drop(one.event)]
        return {
            "counts": wording.count_kinds(recorder.counts),
            "left_out": left_out,
            "left_out_words": wording.sum_up(left_out),
            "events": [
                {
                    "name": build_name(one.event),
                    "kind": wording.NAMES[one.event.kind][0],
                    "what": describe_event(one.event),
                    "where": describe_place(one.event),
                    "dropped": self._get_drop(one.event),
                    "fields": origins.explain(one),
                }
                for one in noted
            ],
            "more_events": sum(recorder.counts.values()) - len(noted),
            "told": [describe_told(door, part) for door, part in list(recorder.told)],
            "told_words": count_told(recorder.told_counts),
            "more_told": sum(recorder.told_counts.values()) - len(recorder.told),
            "bodies": build_bodies(kept),
            "process": build_process_state(),
            "warnings": warnings,
        }

    def _get_drop(self, event: Event) -> str:
        """Return why a recorded event is dropped, as far as is known; ``""`` if it is not."""
        if self._has_failed and event.kind in SHOWN_KINDS:
            return "server_error"
        return self._recorder.dropped.get(build_name(event), "")

    def _list_left_out(self) -> Iterator[dict[str, str]]:
        found: Counter[tuple[str, str, str]] = Counter()
        ignored = self._find_ignore_reason()
        for kind, number in self._recorder.count_silent().items():
            found[kind, ignored or "unknown_product", ""] += number
        rules = self._read_answer()
        for one in list(self._recorder.left_out):
            rule = one.rule or "; ".join(rules.get(one.kind, ()))
            found[one.kind, one.reason, rule] += one.number
        for event in (one.event for one in list(self._recorder.noted)):
            if reason := self._get_drop(event):
                found[event.kind, reason, ""] += 1
        for (kind, reason, rule), number in found.items():
            why = wording.explain(reason)
            yield {"what": wording.count(number, kind), "why": why, "rule": rule}
        looked = self._collector.found
        if looked.get("is_told") is False or looked.get("may_track") is False:
            why = wording.explain(ignored or self._ask_reason())
            yield {"what": "what a browser would report", "why": why, "rule": ""}

    def _find_ignore_reason(self) -> str:
        return self._ask_reason() if self._collector.found.get("is_ignored") else ""

    def _ask_reason(self) -> str:
        """Return why nothing of this request counts, asking as was asked before."""
        with suppress(Exception):  # a hook of the project's
            reason = get_ignore_reason(self._request)
            return reason or ("not_known" if has_consent(self._request) else "consent")
        return "not_known"

    def _read_answer(self) -> dict[str, list[str]]:
        """Return what the endpoint's answer says of the events that it has not taken, by kind."""
        rules: dict[str, list[str]] = {}
        with suppress(Exception):  # another view's answer, which may hold anything
            if self._response.status_code == 400 and not self._response.streaming:
                for one in json.loads(self._response.content)["errors"]:  # type: ignore[attr-defined]
                    said = rules.setdefault(str(one["kind"]), [])
                    if one["message"] not in said and len(said) < MAX_RULES:
                        said.append(str(one["message"]))
        return rules


def describe_event(event: Event) -> str:
    """Return what an event is of: a bid, a product, a page or an order."""
    if isinstance(event, PageView):
        return describe_page(event.page)
    if isinstance(event, Purchase):
        return f"order {event.id}: {len(event.items)} items"
    return describe_subject(event)


def describe_subject(event: Impression | Click) -> str:
    """Return the product or vendor that an impression or a click is of, or its bid."""
    said = []
    if event.entity is not None:
        said.append(f"{event.entity.type} {event.entity.id}")
    if event.resolved_bid_id is not None:
        said.append(f"bid {event.resolved_bid_id}")
    return ", ".join(said)


def describe_page(page: Page) -> str:
    """Return a page's type and id."""
    return f"{page.type} {page.page_id}"


def describe_place(event: Event) -> str:
    """Return where on which page it was, if it says so."""
    placement = getattr(event, "placement", None)
    if placement is None:
        return ""
    at = "" if placement.position is None else f" at {placement.position}"
    return f"{placement.path}{at}"


def describe_told(door: str, part: Part | None) -> dict[str, str]:
    """Return what the page tells its browser, in two texts."""
    if isinstance(part, Page):
        return {"door": "topsort_script", "what": f"page view: {describe_page(part)}"}
    if isinstance(part, Impression | Click):
        at = part.placement.position if part.placement else None
        what = describe_subject(part) + ("" if at is None else f" at {at}")
        name = "topsort_attrs" if door == "attrs" else "topsort_click_url"
        return {"door": name, "what": what}
    return {"door": "topsort_script", "what": "no page view"}


def count_told(counts: Counter[str]) -> str:
    """Return how much the page tells its browser, in words; ``""`` for nothing."""
    said = [wording.count(counts[door], door) for door in ("attrs", "link") if counts[door]]
    return ", ".join([*said, "the script"] if counts["script"] else said)
