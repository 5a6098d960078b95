"""The backend that writes events where a developer sees them."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Collection
from typing import Any

import pytest
from django.test import override_settings

from django_topsort.accounts import accounts
from django_topsort.backends import console
from django_topsort.backends.base import BaseEventBackend
from django_topsort.events import Impression, Placement
from django_topsort.testing import BackendContract
from tests.sending.engine import USER, build_events


def read(text: str) -> list[dict[str, Any]]:
    """Return the bodies that were written."""
    return [json.loads(part) for part in re.findall(r"^\{$.*?^\}$", text, re.DOTALL | re.MULTILINE)]


class TestContract(BackendContract):
    def make_backend(self) -> BaseEventBackend:
        self.stream = io.StringIO()
        return console.EventBackend(self.stream)

    def get_received(self, backend: BaseEventBackend) -> Collection[tuple[str, str]]:
        return [
            (kind, event["id"])
            for body in read(self.stream.getvalue())
            for kind, events in body.items()
            for event in events
        ]


def test_body_is_written_as_it_would_be_sent(capsys: pytest.CaptureFixture[str]) -> None:
    console.EventBackend().send_events([*build_events(2), *build_events(1, "clicks")])
    written = capsys.readouterr().out

    assert written.startswith('POST /v2/events  2 impressions, 1 click\n{\n  "impressions": [')
    assert written.endswith(f"\n{'-' * 79}\n")
    assert [len(events) for events in read(written)[0].values()] == [2, 1]


def test_body_is_written_with_the_category_field_of_the_settings() -> None:
    stream = io.StringIO()
    placement = Placement(path="/", category_ids=["shoes"])
    event = Impression(opaque_user_id=USER, resolved_bid_id="bid", placement=placement)
    with override_settings(TOPSORT_CATEGORY_FIELD="categoryId"):
        console.EventBackend(stream).send_events([event])

    assert '"categoryId": "shoes"' in stream.getvalue()


def test_stream_that_cannot_be_written_to_delivers_nothing() -> None:
    stream = io.StringIO()
    stream.close()
    before = accounts.get_counts()["impressions"]["delivered"]
    with pytest.raises(ValueError, match="closed"):
        console.EventBackend(stream).send_events(build_events(120))

    assert accounts.get_counts()["impressions"]["delivered"] == before


def test_backend_is_for_development() -> None:
    assert console.EventBackend.blocking
    assert not console.EventBackend.production
