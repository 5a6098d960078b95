"""Taking in what a browser reports: the one way from a request's body to recorded events."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from django_topsort.browser.building import Builder
from django_topsort.browser.paths import find_referer_path
from django_topsort.browser.purchases import unify_purchases
from django_topsort.browser.reading import UnreadableBody, read_body
from django_topsort.browser.refusals import (
    MAX_NAMED,
    Refusal,
    RefusedEvent,
    build_refusal,
    count_refusals,
    count_untaken,
)
from django_topsort.conf import topsort_settings
from django_topsort.delivery import leave_out, log_safely
from django_topsort.events import Purchase
from django_topsort.exceptions import InvalidEvent
from django_topsort.facts import get_collector, get_request_shopper
from django_topsort.pages import may_track
from django_topsort.shoppers import get_shopper
from django_topsort.signals import event_recorded
from django_topsort.tracking import record
from django_topsort.traffic import split_floods, split_repeats
from django_topsort.visits import get_ignore_reason

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_topsort.browser.reading import Reading
    from django_topsort.collector import Collector
    from django_topsort.events import Event
    from django_topsort.shoppers import Shopper

BUILD_ERRORS = (RefusedEvent, InvalidEvent, msgspec.MsgspecError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What became of one body.

    ``status``: 204 where all events were taken, or left out on purpose; 400 or 413 otherwise, and
    then ``err_code`` and ``message`` say why. ``recorded``: how many events were. ``refused``: how
    many were not, of which the first 50 are in ``refusals``.
    """

    status: int = 204
    err_code: str = ""
    message: str = ""
    recorded: int = 0
    refused: int = 0
    refusals: tuple[Refusal, ...] = ()


def take_events(request: HttpRequest, body: bytes, *, address: str | None = None) -> Intake:
    """Record the events that ``body`` brings, and return what became of each.

    ``body``: JSON as Topsort's API takes it. ``address``: that of the client, by default
    ``REMOTE_ADDR``; it stands for a client that brings no id. One wrong event does not cost the
    others. Nothing is read or counted without consent; of crawlers and their like all is counted
    and nothing recorded. Raises what the project's hooks raise.
    """
    collector = get_collector(request)
    if not may_track(request, collector):
        return Intake()
    try:
        reading = read_body(body, partial(find_referer_path, request, collector))
    except UnreadableBody as error:
        key = ("unreadable body", error.err_code)
        log_safely(logging.INFO, key, "browser's request not taken errCode=%s", error.err_code)
        return Intake(status=error.status, err_code=error.err_code, message=error.message)
    reason = _get_ignore_reason(request)
    if reason is not None:
        for kind, sent in reading.items():
            count_untaken(kind, reason, len(sent))
        return Intake()
    collector.found["is_ignored"] = False  # it has just been looked at
    shopper = get_request_shopper(request, collector)
    builder = Builder(request, collector, shopper.opaque_user_id)
    built, refusals = _build(builder, reading)
    if address is None:
        address = request.META.get("REMOTE_ADDR", "")
    events = _leave_out_traffic(built, shopper, f"address:{address}")
    _record(events, request, collector)
    return _sum_up(len(events), refusals)


def find_shopper(request: HttpRequest, collector: Collector) -> Shopper | None:
    """Return the shopper, or None for a client that brings no id and gets none by this."""
    shopper: Shopper | None = collector.found.get("shopper")
    if shopper is None:
        shopper = get_shopper(request)
        if shopper.source == "minted":
            return None
        collector.found["shopper"] = shopper
    return None if shopper.source == "minted" else shopper


def get_taken_kinds() -> Collection[str]:
    """Return which kinds are taken from browsers: ``TOPSORT_BROWSER_EVENTS``."""
    kinds = topsort_settings.TOPSORT_BROWSER_EVENTS
    if isinstance(kinds, list | tuple | set | frozenset):
        return kinds
    default: tuple[str, ...] = type(topsort_settings).TOPSORT_BROWSER_EVENTS.default  # type: ignore[assignment]  # a check says what it must be
    return default


def _get_ignore_reason(request: HttpRequest) -> str | None:
    # Most addresses have no query string, and to read one takes as long as some events.
    if request.META.get("QUERY_STRING") and request.GET.get("automated") == "1":
        return "automated"
    return get_ignore_reason(request)


def _build(builder: Builder, reading: Reading) -> tuple[list[Event], list[Refusal]]:
    built: list[Event] = []
    refusals: list[Refusal] = []
    taken = get_taken_kinds()
    for kind, events in reading.items():
        if kind not in taken:
            message = f"{kind} are not taken from browsers, only {', '.join(taken) or 'nothing'}"
            error = RefusedEvent("invalid_event_type", message, reason="not_taken")
            refusals += (build_refusal(kind, i, sent.id, error) for i, sent in enumerate(events))
            continue
        for index, sent in enumerate(events):
            try:
                built.append(builder.build(kind, sent))
            except BUILD_ERRORS as error:
                refusals.append(build_refusal(kind, index, sent.id, error))
    unify_purchases(builder.bought)
    return built, refusals


def _leave_out_traffic(built: list[Event], shopper: Shopper, address: str) -> list[Event]:
    """Return the events that count, once what nobody has done, or not now, is left out."""
    name = shopper.cache_name
    # First the floods: what does not count must not be what a later click repeats.
    events, floods = split_floods(built, address if shopper.source == "minted" else name, address)
    if floods:
        leave_out(floods, "too_many_clicks")
    events, repeats = split_repeats(events, name)
    if repeats:
        leave_out(repeats, "duplicate")
    return events


def _record(events: Sequence[Event], request: HttpRequest, collector: Collector) -> None:
    if event_recorded.receivers or any(type(event) is Purchase for event in events):
        for event in events:
            record(event, request)
    else:
        # Of a request that counts there is nothing to be asked of each.
        collector.extend(events)


def _sum_up(recorded: int, refusals: list[Refusal]) -> Intake:
    if not refusals:
        return Intake(recorded=recorded)
    count_refusals(refusals)
    codes = {one.err_code for one in refusals}
    return Intake(
        status=400,
        err_code=codes.pop() if len(codes) == 1 else "bad_request",
        message=f"{len(refusals)} of the events were not taken; do not send them again",
        recorded=recorded,
        refused=len(refusals),
        refusals=tuple(refusals[:MAX_NAMED]),
    )
