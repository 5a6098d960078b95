"""From what a browser says to an event: who, when and where are the server's to say."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import force_setattr

from django_topsort.bids import is_signed, read_bid
from django_topsort.browser.paths import clean_path, find_referer_path, is_clean
from django_topsort.browser.purchases import Bought
from django_topsort.browser.reading import Unreadable
from django_topsort.browser.refusals import RefusedEvent
from django_topsort.browser.shapes import SentClick, SentImpression, SentPageView, SentPurchase
from django_topsort.conf import topsort_settings
from django_topsort.events import Click, Event, Impression, PageView, Placement, Purchase
from django_topsort.exceptions import InvalidToken
from django_topsort.fields import DEVICE_TYPES
from django_topsort.shoppers import get_brought_id
from django_topsort.visits import get_device_type

if TYPE_CHECKING:
    from django.http import HttpRequest

    from django_topsort.browser.reading import Sent
    from django_topsort.browser.shapes import SentEvent
    from django_topsort.collector import Collector

MAX_AGE = timedelta(days=1)  # what a browser has kept for longer is dated by the server
UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII)
# What is said of a bid that counts for nothing: the reason of the drop, and why.
BID_REASONS = {
    "tampered": ("forged_bid", "this shop has not signed it"),
    "foreign": ("foreign_bid", "it was shown to another shopper"),
    "expired": ("stale_bid", "it was shown too long ago"),
}


class Builder:
    """Builds the events of one request, for the shopper with ``opaque_user_id``.

    ``bought``: the purchases built.
    """

    def __init__(self, request: HttpRequest, collector: Collector, opaque_user_id: str) -> None:
        self.opaque_user_id = opaque_user_id
        self.bought: list[Bought] = []
        self._request = request
        self._collector = collector
        self._now = datetime.now(UTC)
        self._oldest = self._now - MAX_AGE
        self._device_type = get_device_type(request)
        self._channel: Any = topsort_settings.TOPSORT_CHANNEL
        self._bid_must_be_signed = bool(topsort_settings.TOPSORT_REQUIRE_SIGNED_BIDS)

    def build(self, kind: str, sent: Sent) -> Event:
        """Return the event that ``sent`` is.

        Raises RefusedEvent, InvalidEvent or ``msgspec.ValidationError`` for what cannot be one.
        """
        if isinstance(sent, SentImpression):
            return self._build_interaction(kind, sent)
        if isinstance(sent, Unreadable):
            raise sent.error
        if isinstance(sent, SentPageView):
            return PageView(page=sent.page, **self._read_event(kind, sent))
        if not isinstance(sent, SentPurchase) or not sent.items:
            message = "items: there must be at least one that costs something"
            raise RefusedEvent("no_purchase_items", message, field="items")
        return self._build_purchase(sent, self._read_event(kind, sent))

    def _build_interaction(self, kind: str, sent: SentImpression) -> Impression | Click:
        bid, entity, attribution = sent.resolved_bid_id, sent.entity, sent.additional_attribution
        if bid:
            bid, entity = self._read_bid(bid), None
            _refuse_nul("resolvedBidId", bid)
        else:
            # What would be attributed to a banner that nobody remembers is what was seen.
            bid, entity, attribution = None, entity or attribution, None
            if entity is None:
                message = "resolvedBidId: it must be given where there is no entity"
                raise RefusedEvent("bad_request", message, field="resolvedBidId")
            _refuse_nul("entity.id", entity.id)
        if attribution is not None:
            _refuse_nul("additionalAttribution.id", attribution.id)
        build: Any = Impression
        if isinstance(sent, SentClick):
            build = partial(Click, click_type=sent.click_type)
        # Spelled out: what _read_event returns would take as long to pass on as all its checks.
        event: Impression | Click = build(
            id=self._read_id(kind, sent.id),
            opaque_user_id=self.opaque_user_id,
            occurred_at=self._read_time(sent.occurred_at),
            device_type=self._read_device(sent.device_type),
            channel=self._channel,
            resolved_bid_id=bid,
            entity=entity,
            additional_attribution=attribution,
            placement=self._read_placement(sent.placement),
            page=sent.page,
            object=sent.object,
            external_campaign_id=sent.external_campaign_id or None,
            external_vendor_id=sent.external_vendor_id or None,
        )
        return event

    def _read_event(self, kind: str, sent: SentEvent) -> dict[str, Any]:
        return {
            "id": self._read_id(kind, sent.id),
            "opaque_user_id": self.opaque_user_id,
            "occurred_at": self._read_time(sent.occurred_at),
            "device_type": self._read_device(sent.device_type),
            "channel": self._channel,
        }

    def _read_placement(self, placement: Placement | None) -> Placement | None:
        if placement is None:
            path = self._find_path()
            return None if path is None else Placement(path=path)
        if not is_clean(placement.path):
            force_setattr(placement, "path", clean_path(placement.path))  # nobody else has it yet
        return placement

    def _find_path(self) -> str | None:
        return find_referer_path(self._request, self._collector)

    def _read_id(self, kind: str, text: str | None) -> str:
        if not text:
            return self._collector.build_id()
        if UUID.fullmatch(text):
            return text
        # Topsort counts an id once: nobody may use up another's, such as the number of an order.
        return self._hash(kind, text)

    def _read_device(self, text: str | None) -> Any:
        return text if text in DEVICE_TYPES else self._device_type

    def _read_time(self, text: str | None) -> datetime:
        try:
            moment = datetime.fromisoformat(text)  # type: ignore[arg-type]  # None is a TypeError
            if moment.tzinfo is not UTC:
                moment = moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
            if self._oldest <= moment <= self._now:
                return moment
        except (ValueError, TypeError, OverflowError):
            pass  # as of what is too old
        return self._now

    def _read_bid(self, bid: str) -> str:
        if not is_signed(bid):
            if self._bid_must_be_signed:
                message = "resolvedBidId: it must be signed, as topsort_attrs prints it"
                raise _build_bid_error("unsigned_bid", message)
            return bid
        # The page may be older than the login, and its bids signed for the guest.
        brought = get_brought_id(self._request)
        ids = {self.opaque_user_id} if brought is None else {self.opaque_user_id, brought}
        try:
            return read_bid(bid, ids)
        except InvalidToken as error:
            reason, why = BID_REASONS[error.reason]
            raise _build_bid_error(reason, f"resolvedBidId: {why}") from None

    def _build_purchase(self, sent: SentPurchase, facts: dict[str, Any]) -> Purchase:
        for item in sent.items:
            _refuse_nul("items.productId", item.product_id)
        # A thank-you page that is loaded again is the same purchase, also where no cache says so.
        content = f"{msgspec.json.encode(sent.items).decode()}\n{self._find_path() or ''}"
        facts["id"] = self._hash("purchases", content, f"{self._now:%Y-%m-%d}")
        purchase = Purchase(items=sent.items, **facts)
        event_id = sent.id or ""
        event_id = event_id.lower() if UUID.fullmatch(event_id) else ""
        self.bought.append(Bought(purchase, event_id, content))
        return purchase

    def _hash(self, *texts: str) -> str:
        content = "\n".join((self.opaque_user_id, *texts))
        return hashlib.sha256(content.encode(errors="replace")).hexdigest()[:32]


def _refuse_nul(field: str, text: str) -> None:
    if "\0" in text:
        # No id has one, and not every database takes one.
        raise RefusedEvent("bad_request", f"{field}: it must have no NUL in it", field=field)


def _build_bid_error(reason: str, message: str) -> RefusedEvent:
    code = "resolved_bid_id_not_found"
    return RefusedEvent(code, message, reason=reason, field="resolvedBidId")
