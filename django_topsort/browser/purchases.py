"""Which purchases a browser says twice, so that each is counted once.

A thank-you page may be loaded again, and what nobody has answered is sent again by the next page,
perhaps tomorrow. For a day Django's default cache, which should be one that all processes share,
remembers what was bought on which page, and the id that the browser has for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from django.core.cache import cache
from msgspec.structs import force_setattr

from django_topsort.traffic import build_key

if TYPE_CHECKING:
    from django_topsort.events import Purchase

SECONDS = 24 * 60 * 60  # as long as the script keeps what it could not send


class Bought(NamedTuple):
    """A purchase, and by what it is known again.

    ``event_id``: a UUID of the browser's, or ``""``; it is another when the page is loaded again.
    ``content``: the items and the page's path, which is another when the next page sends it.
    """

    purchase: Purchase
    event_id: str
    content: str


def unify_purchases(bought: Sequence[Bought]) -> None:
    """Give purchases that are the same the id of the first of them. Never raises.

    A cache that is down, or that forgets, leaves the ids as they are.
    """
    if not bought:
        return
    keys = [_build_keys(one) for one in bought]
    try:
        answer: Any = cache.get_many({key for pair in keys for key in pair})
        known: dict[str, Any] = dict(answer) if isinstance(answer, Mapping) else {}
        new: dict[str, str] = {}
        for one, (id_key, content_key) in zip(bought, keys, strict=True):
            first = known.get(id_key)
            if not isinstance(first, str):
                # Not of what is only sent again: on this page something else was bought.
                first = known.get(content_key)
                if not isinstance(first, str):
                    first = new[content_key] = known[content_key] = one.purchase.id
                if one.event_id:
                    new[id_key] = known[id_key] = first
            force_setattr(one.purchase, "id", first)  # nobody else has it yet
        if new:
            cache.set_many(new, SECONDS)
    except Exception:
        return


def _build_keys(one: Bought) -> tuple[str, str]:
    """Return under which names the cache knows a purchase; nobody uses up another shopper's."""
    shopper = one.purchase.opaque_user_id
    by_id = build_key("bought", "id", shopper, one.event_id)
    return by_id, build_key("bought", "content", shopper, one.content)
