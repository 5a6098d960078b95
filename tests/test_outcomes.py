"""What became of purchases, as a command hears of it."""

from __future__ import annotations

import pytest

from django_topsort import outcomes
from django_topsort.delivery import deliver
from django_topsort.outcomes import Outcomes
from tests.sending.engine import build_event, build_events


def test_only_purchases_are_listened_to() -> None:
    with Outcomes() as heard:
        deliver([build_event("clicks", "c-1"), build_event("purchases", "1")])

    assert heard.last == {"1": "delivered"}
    assert heard.get_figures()["delivered"] == 1


def test_nothing_is_heard_after_the_block() -> None:
    with Outcomes() as heard:
        pass
    deliver([build_event("purchases", "1")])

    assert heard.last == {}


def test_purchases_that_are_remembered_by_id_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcomes, "MAX_NAMED", 3)

    with Outcomes() as heard:
        deliver(build_events(10, "purchases"))

    assert len(heard.last) <= 3
    assert heard.get_figures()["delivered"] == 10
