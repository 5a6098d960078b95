"""Requests of all sorts: at once, on an event loop, as streams, by scripts, and misplaced."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.test import AsyncClient, Client, RequestFactory, override_settings

from django_topsort import routing
from django_topsort.backends.base import BaseEventBackend
from django_topsort.backends.locmem import outbox
from django_topsort.collector import Collector
from django_topsort.contrib.debug_toolbar import recording
from django_topsort.contrib.debug_toolbar.origins import Origins
from django_topsort.delivery import deliver_safely
from django_topsort.events import Entity, Impression
from django_topsort.middleware import TopsortMiddleware
from django_topsort.tracking import track_impression
from tests.contrib.debug_toolbar.conftest import HEADERS, GetPanel
from tests.contrib.debug_toolbar.settings import MIDDLEWARE
from tests.counting import Calls, count_calls

OURS, TOOLBAR, COMMON = MIDDLEWARE


def get_panels() -> list[Any]:
    """Return the panels of all requests, the oldest first."""
    from debug_toolbar.store import get_store
    from debug_toolbar.toolbar import DebugToolbar

    toolbars: Any = [DebugToolbar.fetch(name) for name in get_store().request_ids()]
    return [toolbar.get_panel_by_id("TopsortPanel") for toolbar in toolbars]


def sum_up(panel: Any) -> tuple[str, list[str], set[str]]:
    """Return the page that a panel is of, its products, and why something was left out."""
    stats = panel.get_stats()
    products = [one["what"].removeprefix("product ") for one in stats["events"]]
    return products[0][0], products, {one["why"] for one in stats["left_out"]}


@pytest.mark.usefixtures("get_panel")
def test_requests_at_once_in_threads_do_not_mix() -> None:
    def ask(name: str) -> int:
        return Client(headers=HEADERS).get(f"/at-once/{name}").status_code

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(ask, "ab")) == [200, 200]

    found = sorted(sum_up(panel) for panel in get_panels())
    assert found == [("a", ["a-1", "a-2"], {"a"}), ("b", ["b-1", "b-2"], {"b"})]


@pytest.mark.usefixtures("get_panel")
async def test_requests_at_once_on_a_loop_do_not_mix() -> None:
    async def ask(name: str) -> int:
        answer = await AsyncClient(headers=HEADERS).get(f"/at-once-on-loop/{name}")
        return answer.status_code

    assert await asyncio.gather(*map(ask, "abc")) == [200, 200, 200]

    found = sorted(sum_up(panel) for panel in get_panels())
    assert found == [(name, [f"{name}-1", f"{name}-2"], {name}) for name in "abc"]


async def test_sync_view_on_a_loop_is_noted(
    shopper_on_loop: AsyncClient, get_panel: GetPanel
) -> None:
    assert (await shopper_on_loop.get("/wrong/")).status_code == 200

    assert get_panel().title == "Topsort: 1 impression, 1 page view"
    assert get_panel().nav_subtitle.startswith("left out 2 impressions: wrong data; ")


def test_listening_ends_with_the_request(shopper: Client, get_panel: GetPanel) -> None:
    response: Any = shopper.get("/listing/")

    assert response.wsgi_request.topsort.observer is None
    assert recording.current.get() is None


def test_stream_is_noted_when_it_has_ended(shopper: Client, get_panel: GetPanel) -> None:
    response: Any = shopper.get("/stream/")
    assert get_panel().title == "Topsort: nothing recorded"
    (warning,) = get_panel().get_stats()["warnings"]
    assert "when it has ended" in warning

    assert b"".join(response.streaming_content) == b"part" * 3

    panel = get_panel()
    assert panel.title == "Topsort: 3 impressions"
    assert panel.get_stats()["warnings"] == []
    assert response.wsgi_request.topsort.observer is None
    assert len(outbox) == 3


@pytest.mark.django_db  # close() looks after its connections
def test_streams_at_once_do_not_mix(shopper: Client, get_panel: GetPanel) -> None:
    first: Any = shopper.get("/stream/")
    second: Any = shopper.get("/stream/")
    parts = iter(first.streaming_content)
    assert next(parts) == b"part"
    assert b"".join(second.streaming_content) == b"part" * 3
    first.close()  # its client has left

    assert [panel.title for panel in get_panels()] == [
        "Topsort: 1 impression",
        "Topsort: 3 impressions",
    ]


async def test_stream_on_a_loop_is_noted(shopper_on_loop: AsyncClient, get_panel: GetPanel) -> None:
    response: Any = await shopper_on_loop.get("/stream-on-loop/")
    assert get_panel().title == "Topsort: nothing recorded"

    assert [part async for part in response.streaming_content] == [b"part"] * 3

    assert get_panel().title == "Topsort: 3 impressions"


def test_stream_of_a_request_that_is_forgotten_stays_forgotten(
    shopper: Client, get_panel: GetPanel
) -> None:
    from debug_toolbar.store import get_store

    response: Any = shopper.get("/stream/")
    store: Any = get_store()
    store.clear()

    assert b"".join(response.streaming_content) == b"part" * 3

    assert list(store.request_ids()) == []


def test_file_is_sent_as_before(get_panel: GetPanel) -> None:
    from debug_toolbar.middleware import DebugToolbarMiddleware

    from tests.contrib.debug_toolbar.urls import send_file

    make: Any = DebugToolbarMiddleware
    # Without the test client, which puts a stream of its own in the place of the file.
    request = RequestFactory(headers=HEADERS).get("/file/")
    response: Any = TopsortMiddleware(make(send_file))(request)

    assert response.file_to_stream is not None
    assert get_panel().title == "Topsort: nothing recorded"
    response.file_to_stream.close()


def test_request_of_a_script_is_in_the_history(shopper: Client, get_panel: GetPanel) -> None:
    answer = shopper.get("/finished/", headers={"HX-Request": "true"})
    request_id = answer.headers["djdt-request-id"]

    query = {"request_id": request_id, "panel_id": "TopsortPanel"}
    shown = shopper.get("/__debug__/render_panel/", query).json()

    assert "product shoe-1" in shown["content"]
    assert "the event given to record" in shown["content"]
    told = shopper.get("/__debug__/history_refresh/", {"request_id": request_id}).json()
    (one,) = told["requests"]
    assert "/finished/" in one["content"]
    of_one = {"request_id": request_id, "exclude_history": "True"}
    side = shopper.get("/__debug__/history_sidebar/", of_one).json()
    assert "Topsort: 1 click" in side["TopsortPanel"]["button"]


@pytest.mark.filterwarnings("ignore:The RedirectsPanel is deprecated")
def test_redirect_that_is_intercepted_shows_the_click(shopper: Client, get_panel: GetPanel) -> None:
    shopper.cookies["djdtRedirectsPanel"] = "on"

    response = shopper.get("/redirect/")

    assert response.status_code == 200
    assert "Topsort: 1 click" in response.text
    assert get_panel().title == "Topsort: 1 click"


def test_redirect_shows_the_click(shopper: Client, get_panel: GetPanel) -> None:
    assert shopper.get("/redirect/").status_code == 302

    assert get_panel().title == "Topsort: 1 click"


def test_panel_that_is_switched_off_listens_to_nothing(
    shopper: Client, get_panel: GetPanel
) -> None:
    shopper.cookies["djdtTopsortPanel"] = "off"

    response: Any = shopper.get("/listing/")

    assert response.wsgi_request.topsort.observer is None
    assert re.search(r"djdt-disabled[^>]*>\s*(<img[^>]*>)?\s*Topsort\s", response.text)
    assert get_panel().get_stats() == {}


@override_settings(MIDDLEWARE=[TOOLBAR, OURS, COMMON])
def test_middleware_behind_the_toolbar_is_said(shopper: Client, get_panel: GetPanel) -> None:
    shopper.get("/listing/")

    assert get_panel().title == "Topsort: 2 impressions, 1 page view"
    (warning,) = get_panel().get_stats()["warnings"]
    assert warning.startswith("TopsortMiddleware stands behind the toolbar's: put it first")


@override_settings(MIDDLEWARE=[TOOLBAR, COMMON])
def test_middleware_that_is_missing_is_said(shopper: Client, get_panel: GetPanel) -> None:
    shopper.get("/listing/")

    assert get_panel().title == "Topsort: 2 impressions, 1 page view"
    (warning,) = get_panel().get_stats()["warnings"]
    assert warning.startswith("TopsortMiddleware is not in MIDDLEWARE: put it first")


class DroppingBackend(BaseEventBackend):
    """Drops what it gets, and something of another request with it."""

    def send_events(self, events: Any) -> None:
        other = Impression(opaque_user_id="-", entity=Entity(id="other", type="product"))
        self.report.dropped([*events, other], "overflow")


class WaitingBackend(DroppingBackend):
    blocking = True

    def get_state(self) -> dict[str, Any]:
        raise ZeroDivisionError


@pytest.mark.usefixtures("own_backends")
@override_settings(
    MIDDLEWARE=[TOOLBAR], TOPSORT_BACKENDS={"default": f"{__name__}.DroppingBackend"}
)
def test_event_that_is_dropped_at_once_is_shown(shopper: Client, get_panel: GetPanel) -> None:
    shopper.get("/listing/")

    stats = get_panel().get_stats()
    assert [one["dropped"] for one in stats["events"]] == ["overflow"] * 3
    left_out = {(one["what"], one["why"]) for one in stats["left_out"]}
    assert left_out == {("2 impressions", "overflow"), ("1 page view", "overflow")}
    assert stats["bodies"] == []
    assert "dropped: overflow" in get_panel().content


@pytest.mark.usefixtures("own_backends")
@pytest.mark.parametrize(
    ("backends", "name", "how"),
    [
        ({"default": f"{__name__}.WaitingBackend"}, f"{__name__}.WaitingBackend", "on its way"),
        (
            {"default": "django_topsort.outbox.backend.EventBackend"},
            "django_topsort.outbox.backend.EventBackend",
            "writes them into the database",
        ),
        ({}, "no backend", "no default"),
        ({"default": "no.such.backend"}, "no.such.backend", "cannot be imported"),
    ],
)
@pytest.mark.django_db
def test_backend_is_described(
    shopper: Client, get_panel: GetPanel, backends: dict[str, str], name: str, how: str
) -> None:
    with override_settings(TOPSORT_BACKENDS=backends, TOPSORT_OUTBOX_RELAY=False):
        shopper.get("/listing/")

    (part,) = get_panel().get_stats()["bodies"]
    assert part["backend"] == name
    assert how in part["how"]


@pytest.mark.usefixtures("own_backends")
def test_each_backend_has_its_own_bodies(shopper: Client, get_panel: GetPanel) -> None:
    dummy = "django_topsort.backends.dummy.EventBackend"
    locmem = "django_topsort.backends.locmem.EventBackend"
    with override_settings(TOPSORT_BACKENDS={"default": locmem, "pageviews": dummy}):
        shopper.get("/listing/")

    found = {
        part["backend"]: [*json.loads(part["bodies"][0])]
        for part in get_panel().get_stats()["bodies"]
    }
    assert found == {dummy: ["pageviews"], locmem: ["impressions"]}


def test_process_that_is_paused_says_so(shopper: Client, get_panel: GetPanel) -> None:
    class Paused(BaseEventBackend):
        def get_state(self) -> dict[str, Any]:
            return {"is_paused": True}

    routing._backends["paused"] = Paused()
    try:
        shopper.get("/listing/")
    finally:
        del routing._backends["paused"]

    assert "Paused: Topsort does not answer" in get_panel().content
    shopper.get("/listing/")
    assert "Not paused." in get_panel().content
    process = get_panel().get_stats()["process"]
    recorded = {row["kind"]: row["figures"][0] for row in process["rows"]}
    assert recorded["impressions"] >= 2


def test_what_became_of_the_events_is_shown_when_the_panel_is_opened(
    shopper: Client, get_panel: GetPanel
) -> None:
    shopper.get("/listing/")

    assert get_panel().content.count("<td>delivered</td>") == 3  # locmem has them
    recording.handle_rejected(None, list(outbox[:1]), ValueError("status=400"))
    assert "refused by Topsort: status=400" in get_panel().content
    recording.handle_dropped(None, "impressions", 1, "expired", list(outbox[1:2]))
    assert "dropped: expired" in get_panel().content
    recording.fates.clear()
    assert get_panel().content.count("on its way") == 3


def test_what_became_of_events_is_forgotten_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MAX_FATES", 3)
    events = [Impression(opaque_user_id="-", resolved_bid_id="b", id=f"{n}") for n in range(5)]

    recording.handle_delivered(None, list(events))

    assert list(recording.fates) == [f"impressions:{n}" for n in (2, 3, 4)]


def test_fault_of_the_panel_costs_no_page(
    shopper: Client, get_panel: GetPanel, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    summary = sys.modules["django_topsort.contrib.debug_toolbar.summary"]
    monkeypatch.delattr(summary, "build_bodies")

    assert shopper.get("/listing/").status_code == 200

    assert get_panel().title == "Topsort: ?"
    assert "The panel could not sum up this request" in get_panel().content
    assert "panel not filled" in caplog.text
    assert len(outbox) == 3


def test_panel_that_cannot_listen_costs_no_page(
    shopper: Client, get_panel: GetPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    panels = sys.modules["django_topsort.contrib.debug_toolbar.panels"]
    monkeypatch.delattr(panels, "connect")

    assert shopper.get("/listing/").status_code == 200

    assert get_panel().get_stats() == {}
    assert len(outbox) == 3


def test_recorder_raises_nothing() -> None:
    class Odd(dict[str, object]):
        def items(self) -> Any:
            raise ZeroDivisionError

    recorder = recording.Recorder()
    recorder.note_call("impressions", Odd(), None)
    recorder.note_refusal("impressions", ZeroDivisionError(), is_counted=True)
    assert recorder.left_out[0].rule == "ZeroDivisionError()"


def test_event_without_a_request_is_of_the_one_that_is_answered(get_panel: GetPanel) -> None:
    recorder = recording.Recorder()
    event = Impression(opaque_user_id="-", resolved_bid_id="b")

    recording.handle_recorded(Impression, event, None)
    token = recording.current.set(recorder)
    recording.handle_recorded(Impression, event, None)
    recording.current.reset(token)

    (noted,) = recorder.noted
    assert noted.event is event
    request = RequestFactory().get("/")
    fields = Origins(request, Collector(deliver_safely)).explain(noted)
    assert {one["origin"] for one in fields} == {"not known"}


def test_recorder_keeps_no_more_than_it_shows() -> None:
    recorder = recording.Recorder()

    for number in range(300):
        recorder.note_refusal("impressions", ValueError(number), is_counted=False)

    assert len(recorder.left_out) == 200


def count_impression(request: Any) -> Calls:
    """Return the calls of an impression that is like the one before it."""
    track_impression(request, "shoe-1")
    calls, event = count_calls(track_impression, request, "shoe-1")
    assert event is not None
    return calls


def test_event_costs_nothing_more_unless_somebody_looks(
    shopper: Client, get_panel: GetPanel
) -> None:
    unseen = RequestFactory(headers=HEADERS).get("/")
    before = count_impression(unseen)
    shopper.get("/listing/")
    recording.disconnect()
    after = count_impression(unseen)

    # Not one call for the observer that is not there, nor for whoever was.
    assert after == before
    assert not [name for name in after if "contrib" in name or "note_call" in name]
