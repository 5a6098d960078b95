"""Setting right what clients get wrong, so that no event is lost by what can be understood.

Topsort's own script sends prices as they stand in a page, query strings in paths, and items by
another name than the API's; its SDK has click types that the API does not know. Numbers come in
quotes, and what is absent as null or as an empty text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from django_topsort.browser.paths import clean_path

DIGITS = re.compile(r"\s*(\d{1,10})\s*", re.ASCII)
PRICE = re.compile(r"\s*(\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})\s*", re.ASCII)
# Those of Topsort's SDK; None where the API has no word for it.
CLICK_TYPES = {"add_to_cart": "add-to-cart", "image": None, "purchase_now": None}
MAX_NAMED = 5  # unknown keys in one line
MAX_NAME = 40  # characters of each

Fix = Callable[[Any], Any]
Fields = Mapping[str, tuple[str, Fix]]


class Repairs:
    """Repairs the events of one body.

    ``path``: of the page that sent it, None where it is not known. ``unknown``: the parts in which
    there were keys that nobody knows. ``named``: the first 5 of these keys.
    """

    def __init__(self, path: str | None) -> None:
        self.path = path
        self.unknown: set[str] = set()
        self.named: list[str] = []
        self._fields: dict[str, Fields] = {
            "impressions": self._build_fields(),
            "clicks": {**self._build_fields(), "clickType": ("clickType", fix_click_type)},
            "purchases": {**EVENT, "items": ("items", self._fix_items)},
            "pageviews": {**EVENT, "page": ("page", self._part("page", PAGE))},
        }

    def repair(self, kind: str, content: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``content``, an event of ``kind``, as the API would have it."""
        return self._fix(kind, content, self._fields[kind])

    def note(self, part: str, key: str) -> None:
        """Note a key of ``part`` that nobody knows."""
        self.unknown.add(part)
        if len(self.named) < MAX_NAMED:
            name = repr(key[:MAX_NAME])[:MAX_NAME]  # it comes from anybody
            self.named += [name] if name not in self.named else []

    def _build_fields(self) -> Fields:
        return {
            **INTERACTION,
            "placement": ("placement", self._fix_placement),
            "entity": ("entity", self._part("entity", ENTITY)),
            "page": ("page", self._part("page", PAGE)),
            "object": ("object", self._part("object", OBJECT)),
            "additionalAttribution": (
                "additionalAttribution",
                self._part("additionalAttribution", ENTITY),
            ),
        }

    def _fix(self, part: str, content: Mapping[str, Any], fields: Fields) -> dict[str, Any]:
        fixed: dict[str, Any] = {}
        has_bid = bool(content.get("resolvedBidId"))
        for key, value in content.items():
            if key not in fields:
                self.note(part, key)
                continue
            name, fix = fields[key]
            if value is None or (has_bid and name == "entity"):
                continue  # beside a bid Topsort disregards the entity
            result = fix(value)
            # The API's own name for it goes before any other.
            if result is not None and (key == name or name not in fixed):
                fixed[name] = result
        return fixed

    def _part(self, part: str, fields: Fields) -> Fix:
        def fix(value: Any) -> Any:
            return self._fix(part, value, fields) if isinstance(value, dict) else value

        return fix

    def _fix_placement(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        placement = self._fix("placement", value, PLACEMENT)
        if self.path is not None:
            placement.setdefault("path", self.path)
        return placement

    def _fix_items(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        items = [self._fix("items", one, ITEM) if isinstance(one, dict) else one for one in value]
        # A gift is no purchase, and the API refuses a price of 0.
        return [one for one in items if not (isinstance(one, dict) and is_free(one))]


def is_free(item: Mapping[str, Any]) -> bool:
    """Whether an item costs nothing."""
    price = item.get("unitPrice")
    return isinstance(price, Decimal | int) and not isinstance(price, bool) and price == 0


def fix_text(value: Any) -> Any:
    """Return text for a whole number, None for an empty text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None if value == "" else value


def fix_texts(value: Any) -> Any:
    """Return a list for one text, without what is empty; None for none."""
    values = value if isinstance(value, list) else [value]
    texts = [text for one in values if one is not None and (text := fix_text(one)) is not None]
    return texts or None


def fix_value(value: Any) -> Any:
    """Return the value of a page: text, or a list of texts."""
    return fix_texts(value) if isinstance(value, list) else fix_text(value)


def fix_integer(value: Any) -> Any:
    """Return a whole number for one in quotes, or with a decimal point."""
    if isinstance(value, str):
        match = DIGITS.fullmatch(value)
        return int(match[1]) if match else (value or None)
    # Not abs(value): to round what has an exponent of millions is an error.
    if isinstance(value, Decimal) and -(10**10) < value < 10**10 and value == int(value):
        return int(value)
    return value


def fix_price(value: Any) -> Any:
    """Return a number for one in quotes."""
    match = PRICE.fullmatch(value) if isinstance(value, str) else None
    return Decimal(match[1]) if match else value


def fix_path(value: Any) -> Any:
    """Return the path alone."""
    return clean_path(value) if isinstance(value, str) and value else fix_text(value)


def fix_click_type(value: Any) -> Any:
    """Return the API's word for what was clicked, None where it has none."""
    return CLICK_TYPES.get(value, value or None) if isinstance(value, str) else value


def keep_text(value: Any) -> Any:
    """Return text, None for anything else: the server has its own."""
    return value if isinstance(value, str) and value else None


def leave_out(value: Any) -> None:
    """Return None: the server decides on it."""


EVENT: Fields = {
    "id": ("id", lambda value: keep_text(fix_text(value))),
    "occurredAt": ("occurredAt", keep_text),
    "opaqueUserId": ("opaqueUserId", leave_out),
    "deviceType": ("deviceType", keep_text),
    "channel": ("channel", leave_out),
}
INTERACTION: Fields = {
    **EVENT,
    "resolvedBidId": ("resolvedBidId", fix_text),
    "externalCampaignId": ("externalCampaignId", fix_text),
    "externalVendorId": ("externalVendorId", fix_text),
}
PLACEMENT: Fields = {
    "path": ("path", fix_path),
    "position": ("position", fix_integer),
    "page": ("page", fix_integer),
    "pageSize": ("pageSize", fix_integer),
    "productId": ("productId", fix_text),
    "categoryIds": ("categoryIds", fix_texts),
    "categoryId": ("categoryIds", fix_texts),
    "searchQuery": ("searchQuery", fix_text),
}
ENTITY: Fields = {"id": ("id", fix_text), "type": ("type", fix_text)}
PAGE: Fields = {
    "type": ("type", fix_text),
    "pageId": ("pageId", fix_text),
    "value": ("value", fix_value),
}
OBJECT: Fields = {
    "type": ("type", fix_text),
    "assetId": ("assetId", fix_text),
    "clickType": ("clickType", fix_click_type),
}
ITEM: Fields = {
    "productId": ("productId", fix_text),
    "product": ("productId", fix_text),
    "unitPrice": ("unitPrice", fix_price),
    "price": ("unitPrice", fix_price),
    "quantity": ("quantity", fix_integer),
    "vendorId": ("vendorId", fix_text),
}
