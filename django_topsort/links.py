"""Click links: an address of ours that counts the click and leads on to the shop's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

import msgspec

from django_topsort.clicks import TARGET_RULE, claim_click, is_safe_target, read_click, sign_click
from django_topsort.delivery import leave_out, refuse
from django_topsort.events import Click
from django_topsort.exceptions import InvalidEvent, InvalidToken
from django_topsort.facts import get_collector, get_request_shopper, is_ignored
from django_topsort.interactions import build_interaction
from django_topsort.pages import get_click_prefix, keep_for_one
from django_topsort.shoppers import has_consent
from django_topsort.tracking import track_click
from django_topsort.traffic import split_floods, split_repeats
from django_topsort.visits import get_ignore_reason

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_topsort.arguments import ClickFields
    from django_topsort.collector import Collector
    from django_topsort.shoppers import Shopper

# What the request in which the click happens says, and not the page that had the link.
REQUEST_FIELDS = {"id": "-", "opaque_user_id": "-", "device_type": None}

CLIENT = ("REMOTE_ADDR", "HTTP_USER_AGENT")  # what tells clients apart that bring no cookie


def build_click_url(
    request: HttpRequest, target: object, product: object = None, **fields: Unpack[ClickFields]
) -> str:
    """Return a link that reports a click on ``product`` and redirects to ``target``.

    ``target``: a path, or an address of this site or of a host in ``TOPSORT_CLICK_HOSTS``. The rest
    as for ``track_click``. Without consent, for a crawler, and for wrong data while
    ``TOPSORT_STRICT`` does not hold, it returns ``target`` itself: the link leads on anyway. It
    returns ``""``, a link to the page itself, for a target whose text cannot be had.

    Raises InvalidEvent for wrong data while ``TOPSORT_STRICT`` holds, and TopsortConfigurationError
    where ``django_topsort.urls`` is not included.
    """
    text = ""
    try:
        text = "" if target is None else str(target)
        collector = get_collector(request)
        if not is_safe_target(request, text):
            raise InvalidEvent("target", text, TARGET_RULE)
        if is_ignored(request, collector):
            return text
        click = build_interaction(Click, request, collector, product, {**fields, **REQUEST_FIELDS})
        if click is None:
            return text
        if click.resolved_bid_id is not None:
            keep_for_one(request, collector)  # a bid is won for one shopper
        content = msgspec.to_builtins(click)
        for name in ("id", "opaqueUserId", "occurredAt"):
            del content[name]
        return get_click_prefix(collector) + sign_click(text, content)
    except Exception as error:
        refuse("clicks", error, request)
        return text


def follow_click(request: HttpRequest, token: str) -> str:
    """Report the click that ``token`` says, and return the address to which it leads.

    Raises InvalidToken when the token is forged, foreign or too old, or its address may not be
    followed from here.
    """
    claim = read_click(token)
    if not is_safe_target(request, claim.target):
        raise InvalidToken("tampered")
    try:
        collector = get_collector(request)
        if is_ignored(request, collector):
            _count_ignored(request, claim.fields)
        elif _is_embedded(request):
            leave_out([_read_content(claim.fields, "-")], "embedded")
        else:
            _track_claim(request, collector, claim.nonce, claim.fields)
    except Exception as error:
        # Such as a token from a release to come: the shopper goes on to the product.
        refuse("clicks", error, request)
    return claim.target


def _count_ignored(request: HttpRequest, content: dict[str, Any]) -> None:
    """Count the click of a program; not that of a shopper without consent, of whom nothing is."""
    reason = get_ignore_reason(request)
    # HEAD asks where a link leads, which is no click.
    if reason not in (None, "head") and has_consent(request):
        leave_out([_read_content(content, "-")], reason)


def _is_embedded(request: HttpRequest) -> bool:
    """Whether a page of another site has fetched the link by itself: as an image, or in a frame."""
    destination = request.META.get("HTTP_SEC_FETCH_DEST")
    return (
        bool(destination)
        and destination != "document"
        and request.META.get("HTTP_SEC_FETCH_SITE") != "same-origin"
    )


def _read_content(content: dict[str, Any], opaque_user_id: str) -> Click:
    """Return the click that a token says. Raises InvalidEvent for that of a release to come."""
    try:
        return msgspec.convert({**content, "opaqueUserId": opaque_user_id}, Click)
    except msgspec.ValidationError:
        # Its message may hold values, and a log must not.
        raise InvalidEvent("token", content, "this release must know all that it says") from None


def _track_claim(
    request: HttpRequest, collector: Collector, nonce: str, content: dict[str, Any]
) -> None:
    shopper = get_request_shopper(request, collector)
    said = _read_content(content, shopper.opaque_user_id)
    client = ""
    if shopper.source == "minted":
        client = " ".join(request.META.get(name, "") for name in CLIENT)
    # First the floods: what does not count must not be what a later click repeats.
    if split_floods([said], _find_clicker(request, shopper), _find_address(request))[1]:
        leave_out([said], "too_many_clicks")
        return
    event_id = claim_click(nonce, shopper.cache_name, client)
    if event_id is not None:
        said = msgspec.structs.replace(said, id=event_id)
    # The script of the page, or another link of it, may have reported the same.
    if event_id is None or split_repeats([said], shopper.cache_name)[1]:
        leave_out([said], "duplicate")
        return
    fields: dict[str, Any] = {
        name: value
        for name in Click.__struct_fields__
        if name not in ("opaque_user_id", "occurred_at", "device_type")
        and (value := getattr(said, name)) is not None
    }
    if "page" in fields:
        fields["event_page"] = fields.pop("page")
    track_click(request, **fields)


def _find_clicker(request: HttpRequest, shopper: Shopper) -> str:
    """Return by which name clicks are counted: the shopper's or, without one, the client's."""
    if shopper.source != "minted":
        return shopper.cache_name
    # All of the shoppers behind one proxy have its address: the agent tells some of them apart.
    return f"{_find_address(request)} {request.META.get('HTTP_USER_AGENT', '')}"


def _find_address(request: HttpRequest) -> str:
    """Return whence the click came, and who says so: anybody may send the header."""
    if forwarded := request.META.get("HTTP_X_FORWARDED_FOR"):
        return f"forwarded:{forwarded}"
    return f"address:{request.META.get('REMOTE_ADDR', '')}"
