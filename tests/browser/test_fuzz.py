"""Any body: nothing raises, and each event of it is recorded, refused or counted."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from django.core.cache import cache
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from django_topsort.accounts import accounts
from django_topsort.backends.locmem import outbox
from django_topsort.browser.intake import take_events
from django_topsort.events import EVENT_KINDS
from tests.browser.sending import build_request
from tests.strategies import build_full_events

FULL: dict[str, Any] = {}
for _event in build_full_events():
    from django_topsort.wire import encode_event

    FULL[_event.kind] = json.loads(encode_event(_event))

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=20) | st.sampled_from(
    ["product", "12.50", "3", "/a?b#c", "https://a.example/b", "ts1.x:y", "\ud800", "x" * 2049]
)
plain = st.none() | st.booleans() | numbers | texts
anything = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def get_places(content: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [place]
    if isinstance(content, dict):
        for key, value in content.items():
            found += get_places(value, (*place, key))
    elif isinstance(content, list):
        for index, value in enumerate(content):
            found += get_places(value, (*place, index))
    return found


@st.composite
def mutated_events(draw: st.DrawFn, kind: str) -> Any:
    """Return a good event in which some values, of any depth, are replaced or taken away."""
    event = deepcopy(FULL[kind])
    for _ in range(draw(st.integers(0, 3))):
        *path, last = draw(st.sampled_from([place for place in get_places(event) if place]))
        parent = event
        for key in path:
            parent = parent[key]
        if draw(st.booleans()):
            parent[last] = draw(anything)
        else:
            del parent[last]
    return event


mutated_bodies = st.fixed_dictionaries(
    {}, optional={kind: st.lists(mutated_events(kind), max_size=3) for kind in EVENT_KINDS}
)
odd_bodies = st.dictionaries(
    st.sampled_from(EVENT_KINDS) | texts, st.lists(anything, max_size=3) | anything, max_size=4
)


def count_events(body: Any) -> int:
    count = 0
    for kind in EVENT_KINDS:
        events = body.get(kind)
        if events is not None:
            count += len(events) if isinstance(events, list) else 1
    return count


def get_totals() -> tuple[int, int]:
    counts = accounts.get_counts().values()
    return sum(one["recorded"] for one in counts), sum(one["dropped"] for one in counts)


@given(mutated_bodies | odd_bodies, st.sampled_from(["/", ""]))
@override_settings(TOPSORT_BROWSER_EVENTS=EVENT_KINDS)
def test_each_event_of_any_body_is_recorded_or_refused_or_counted(body: Any, path: str) -> None:
    outbox.clear()
    cache.clear()
    recorded, dropped = get_totals()
    request = build_request(referer=f"http://testserver{path}" if path else "")

    intake = take_events(request, json.dumps(body).encode())

    now_recorded, now_dropped = get_totals()
    count = count_events(body)
    if intake.refusals or intake.status == 204:
        assert now_recorded - recorded == count
        assert now_dropped - dropped == count - len(outbox)
        assert intake.recorded == len(outbox)
        assert intake.refused <= count - len(outbox)  # the others are repeats
    else:
        assert (intake.status, count) == (400, 0)
    for event in outbox:
        assert event.opaque_user_id == "shopper-1"


@given(anything | st.lists(anything))
def test_any_other_json_is_refused(body: Any) -> None:
    if not isinstance(body, dict):
        assert take_events(build_request(), json.dumps(body).encode()).status == 400


@given(st.binary(max_size=200) | st.text('[]{}"\\:,0a', max_size=200).map(str.encode))
def test_any_bytes_are_refused_or_taken(body: bytes) -> None:
    assert take_events(build_request(), body).status in (204, 400)
