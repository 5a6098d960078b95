"""What a process has taken it does not take again, unless it has lost it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from django_topsort.events import Event, PurchaseItem
from django_topsort.exceptions import InvalidRequest, ServerUnavailable
from django_topsort.sending import taken
from django_topsort.sending.handover import HandOver
from django_topsort.sending.taken import TakenPurchases
from tests.sending.engine import Ears, build_event


@pytest.fixture
def ears() -> Ears:
    return Ears()


@pytest.fixture
def known(ears: Ears) -> TakenPurchases:
    return TakenPurchases(ears)


def build_purchase(event_id: str = "o-1", **changes: Any) -> Event:
    return msgspec.structs.replace(build_event("purchases", event_id), **changes)


def test_same_purchase_is_known_and_another_content_is_not(known: TakenPurchases) -> None:
    items = (PurchaseItem(product_id="shoe", unit_price=Decimal("8.00")),)
    first, other = build_purchase(), build_purchase(items=items)
    same = msgspec.structs.replace(first)

    assert [known.is_again(event) for event in (first, same, other, other, same)] == [
        False,
        True,
        False,
        True,
        False,
    ]


def test_purchase_that_was_delivered_stays_known(known: TakenPurchases, ears: Ears) -> None:
    event = build_purchase()
    known.is_again(event)

    known.failed(ServerUnavailable(status=503), 1)
    known.delivered([event])

    assert known.is_again(event)
    assert (len(ears.failures), ears.delivered_events) == (1, [event])


@pytest.mark.parametrize("reason", ["rejected", "expired", "shutdown", "overflow"])
def test_purchase_that_is_lost_may_come_again(
    known: TakenPurchases, ears: Ears, reason: str
) -> None:
    event = build_purchase()
    known.is_again(event)

    some = [build_event("clicks", "o-1"), event]
    if reason == "rejected":
        known.rejected(some, InvalidRequest(status=400))
    else:
        known.dropped(some, reason)

    assert not known.is_again(event)
    assert ears.settled == 2


def test_purchase_of_which_there_are_two_is_not_lost(known: TakenPurchases) -> None:
    event = build_purchase()
    known.is_again(event)

    known.dropped([event], "duplicate")

    assert known.is_again(event)


def test_oldest_purchases_are_forgotten(
    known: TakenPurchases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taken, "MAX_KNOWN", 2)
    events = [build_purchase(f"o-{number}") for number in range(3)]
    for event in events:
        known.is_again(event)

    assert [known.is_again(event) for event in reversed(events)] == [True, True, False]


def test_purchase_that_cannot_be_written_is_left_to_who_sends_it(known: TakenPurchases) -> None:
    event = build_purchase()
    msgspec.structs.force_setattr(event, "opaque_user_id", object())

    assert not known.is_again(event)
    assert not known.is_again(event)


def test_what_is_handed_over_with_a_known_purchase_goes_on(
    known: TakenPurchases, ears: Ears
) -> None:
    click, first, second = build_event("clicks"), build_purchase("o-1"), build_purchase("o-2")

    handed = [known.leave_out(HandOver(some)) for some in ([first], [click, first, second])]

    assert [list(one) for one in handed] == [[first], [click, second]]
    assert ears.dropped_events == [(first, "duplicate")]
