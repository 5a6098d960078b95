"""Processes that fork, are stopped, starve of threads, and end in every way."""

from __future__ import annotations

import http.client
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from django_topsort.testing import FakeApi
from tests.faults.app import App
from tests.servers.project.announced import READY
from tests.servers.serving import SERVERS, Server, Site, get_kinds, name_visit, serve, wait_until

pytestmark = pytest.mark.faults

NEVER = 600  # seconds: what arrives was sent at an end, not because its time had come
EARLY = {"tests.servers.project.wsgi": "tests.servers.project.early"}
TWO_WORKERS = "--workers=2 --config=python:tests.servers.project.announced"


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi(api_key="TSE_servers") as api:
        yield api


@pytest.fixture
def app(api: FakeApi, tmp_path: Path) -> App:
    return App(api, tmp_path)


def build_settings(api: FakeApi) -> dict[str, Any]:
    return {"TOPSORT_API_URL": api.url, "TOPSORT_FLUSH_INTERVAL": NEVER}


def get_ids(api: FakeApi) -> list[str]:
    return sorted(event["id"] for event in api.events)


def kinds(*names: str) -> pytest.MarkDecorator:
    """Let a test run under some of the servers."""
    wanted = {id(SERVERS[name]) for name in names}

    def is_wanted(server: Server) -> bool:
        return id(server) in wanted

    return pytest.mark.parametrize("kind", get_kinds(is_wanted))


def wait_for_two_workers(site: Site) -> None:
    wait_until(lambda: site.read_log().count(READY) == 2, "both workers take signals")


def order(site: Site, count: int, page: str = "order") -> list[str]:
    """Let shoppers order; return the numbers of their orders."""
    visits = [name_visit() for _ in range(count)]
    for visit in visits:
        assert site.get(f"/{page}/?id={visit}").status == 200
    return visits


def assert_same_ids(site: Site, api: FakeApi, at_least: list[str]) -> None:
    """Compare what the site's processes say that they recorded with what has come, id by id."""
    kept = site.get_kept_ids()
    assert set(at_least) <= set(kept)
    assert get_ids(api) == kept
    assert api.altered == []


@kinds("gunicorn-preload", "gunicorn-gthread-preload")
def test_fault_32_sender_used_before_preload_forks(kind: str, api: FakeApi, tmp_path: Path) -> None:
    log = tmp_path / "log"
    settings = build_settings(api)
    with serve(kind, log, TWO_WORKERS, EARLY, **settings) as site:
        wait_for_two_workers(site)
        visits = order(site, 10)
        site.stop()

    assert_same_ids(site, api, visits)
    # What waited in the parent was sent by the parent, and by no child in addition.
    assert len([event_id for event_id in get_ids(api) if event_id.startswith("waiting-")]) == 1
    assert api.repeated == []


def test_fault_33_locks_held_at_fork(app: App) -> None:
    app.run_code("""
        is_over = threading.Event()
        def keep_recording():
            number = 0
            while not is_over.wait(0.0005):
                number += 1
                record_click(f"thread-{number}")
        threads = [threading.Thread(target=keep_recording) for _ in range(1)]
        for thread in threads:
            thread.start()
        try:
            for number in range(40):
                child = os.fork()
                if not child:
                    signal.alarm(20)  # a deadlock ends here, and badly
                    record_order(f"child-{number}")
                    os._exit(0 if flush(15) else 1)
                assert os.waitpid(child, 0)[1] == 0, number
        finally:
            is_over.set()
            for thread in threads:
                thread.join()
    """)

    assert {f"child-{number}" for number in range(40)} <= set(app.get_ids())
    app.assert_all_arrived()


def test_fault_34_fork_that_python_is_not_told_of(app: App) -> None:
    # As uWSGI's master forks: no hook runs, and the dead thread says that it is alive.
    app.run_code("""
        import ctypes
        from django_topsort.accounts import accounts
        record_order("early")
        assert flush(20)
        record_order("waiting")
        fork = ctypes.PyDLL(None).fork
        is_held, is_done = threading.Event(), threading.Event()
        def count():
            for thread in [None]:
                class Events(list):
                    def __iter__(self):
                        return iter(())
                with accounts._lock:  # of which a thread may have hold at any time
                    is_held.set()
                    is_done.wait(30)
        thread = threading.Thread(target=count)
        thread.start()
        is_held.wait(30)
        child = fork()
        if not child:
            signal.alarm(20)
            assert [one for one in threading.enumerate() if one.is_alive()]
            record_order("child")
            counts = accounts.get_counts()["purchases"]
            assert flush(15) and counts["recorded"] == 1, counts
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        is_done.set()
        thread.join()
    """)

    app.assert_all_arrived({"early", "waiting", "child"})


@kinds("uwsgi", "uwsgi-threads")
def test_fault_34_master_of_uwsgi_that_has_recorded(
    kind: str, api: FakeApi, tmp_path: Path
) -> None:
    # And with the default interval: threads work, as uWSGI has them enabled.
    with serve(kind, tmp_path / "log", "--processes=2", EARLY, TOPSORT_API_URL=api.url) as site:
        visits = order(site, 10)
        api.wait_for(10, "purchases", timeout=20)
        visits += order(site, 10)
        site.stop()

    recorded = set(site.get_kept_ids())
    (waiting,) = (event_id for event_id in recorded if event_id.startswith("waiting-"))
    # The master sends what it had recorded, unless it ends within the interval: nobody tells it.
    assert recorded - set(get_ids(api)) <= {waiting}
    assert set(visits) <= set(get_ids(api))
    assert api.repeated == []


def test_fault_35_fork_of_a_fork(app: App) -> None:
    app.run_code("""
        for generation in range(4):
            record_order(f"generation-{generation}")
            assert flush(20)
            record_order(f"waiting-{generation}")
            child = os.fork()
            if child:
                assert os.waitpid(child, 0)[1] == 0
                break
    """)

    names = {f"{word}-{number}" for word in ("generation", "waiting") for number in range(4)}
    app.assert_all_arrived(names)
    assert app.api.repeated == []


@kinds("gunicorn-preload", "uwsgi")
def test_fault_35_fork_in_a_request_of_a_forked_worker(
    kind: str, api: FakeApi, tmp_path: Path
) -> None:
    settings = build_settings(api)
    with serve(kind, tmp_path / "log", **settings) as site:
        visits = order(site, 5, "fork")
        site.stop()

    assert_same_ids(site, api, [*visits, *(f"child-of-{visit}" for visit in visits)])
    assert api.repeated == []


@pytest.mark.parametrize("is_patched", [True, False], ids=["patched", "not-patched"])
@pytest.mark.parametrize("is_preloaded", [True, False], ids=["preload", "no-preload"])
def test_fault_36_gevent(
    api: FakeApi, tmp_path: Path, is_patched: bool, is_preloaded: bool
) -> None:
    words = ["--preload"] * is_preloaded + ["--config=python:tests.servers.project.patched"] * (
        is_patched
    )
    with serve(
        "gunicorn-gevent", tmp_path / "log", " ".join(words), EARLY, TOPSORT_API_URL=api.url
    ) as site:
        # Pages without a database: with --preload Django's connections need the patch in advance.
        shoppers = [threading.Thread(target=order, args=[site, 10, "plain"]) for _ in range(10)]
        for shopper in shoppers:
            shopper.start()
        for shopper in shoppers:
            shopper.join()
        api.wait_for(100, "pageviews", timeout=30)  # in the background, that is
        order(site, 5, "plain")
        site.stop()

    assert_same_ids(site, api, [])
    assert len(api.pageviews) == 105
    assert api.repeated == []


@kinds(
    "uvicorn",
    "uvicorn-workers",
    "hypercorn",
    "daphne",
    "granian-asgi",
    "gunicorn-asgi",
    "gunicorn-asgi-preload",
)
def test_fault_37_asgi_server_is_asked_to_end_amid_requests(
    kind: str, api: FakeApi, tmp_path: Path
) -> None:
    end_amid_requests(kind, api, tmp_path)


@kinds("gunicorn-sync", "gunicorn-gthread", "gunicorn-gevent", "uwsgi")
def test_fault_39_wsgi_server_is_asked_to_end_amid_requests(
    kind: str, api: FakeApi, tmp_path: Path
) -> None:
    end_amid_requests(kind, api, tmp_path)


def end_amid_requests(kind: str, api: FakeApi, tmp_path: Path) -> None:
    is_over = threading.Event()
    answered: list[str] = []

    def shop(site: Site) -> None:
        while not is_over.is_set():
            visit = name_visit()
            connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=3)
            with closing(connection), suppress(OSError, http.client.HTTPException):
                if site.get(f"/order/?id={visit}", connection).status == 200:
                    answered.append(visit)

    settings = build_settings(api)
    with serve(kind, tmp_path / "log", **settings) as site:
        shoppers = [threading.Thread(target=shop, args=[site]) for _ in range(3)]
        for shopper in shoppers:
            shopper.start()
        wait_until(lambda: len(site.read_ledger()) > 30, "orders come in")
        site.stop()
        is_over.set()
        for shopper in shoppers:
            shopper.join()

    assert len(answered) > 20
    assert set(answered) <= set(get_ids(api))
    if kind != "daphne":  # which breaks off a request in the middle, and what it holds
        assert_same_ids(site, api, answered)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_fault_38_waitress_is_asked_to_end(
    api: FakeApi, tmp_path: Path, stop: signal.Signals
) -> None:
    with serve("waitress", tmp_path / "log", TOPSORT_API_URL=api.url) as site:
        visits = order(site, 10)
        api.wait_for(10, "purchases", timeout=20)  # within the interval, without any end
        last = order(site, 1)
        site.stop(stop)

    if stop == signal.SIGINT:
        assert_same_ids(site, api, [*visits, *last])
    else:
        # At worst, what is younger than the interval is lost.
        assert set(visits) <= set(get_ids(api)) <= {*visits, *last}


@kinds("granian-wsgi", "granian-asginl")
def test_fault_38_granian_is_asked_to_end_amid_requests(
    kind: str, api: FakeApi, tmp_path: Path
) -> None:
    end_amid_requests(kind, api, tmp_path)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGQUIT, signal.SIGINT])
def test_fault_39_gunicorn_is_asked_to_end(
    api: FakeApi, tmp_path: Path, stop: signal.Signals
) -> None:
    settings = build_settings(api)
    with serve("gunicorn-sync", tmp_path / "log", TWO_WORKERS, **settings) as site:
        wait_for_two_workers(site)
        visits = order(site, 10)
        site.stop(stop)

    assert_same_ids(site, api, visits)
    assert api.repeated == []


@kinds("gunicorn-sync", "gunicorn-gthread", "gunicorn-gevent")
def test_fault_39_worker_of_gunicorn_reaches_max_requests(
    kind: str, api: FakeApi, tmp_path: Path
) -> None:
    settings = build_settings(api)
    with serve(kind, tmp_path / "log", "--max-requests=3", **settings) as site:
        visits = order(site, 10)
        api.wait_for(6, "purchases", timeout=20)  # those of the workers that have ended
        site.stop()

    assert_same_ids(site, api, visits)
    assert api.repeated == []


def test_fault_39_worker_of_gunicorn_exceeds_its_timeout(api: FakeApi, tmp_path: Path) -> None:
    settings = build_settings(api)
    with serve("gunicorn-sync", tmp_path / "log", "--timeout=1", **settings) as site:
        visits = order(site, 3)
        stalled = name_visit()
        with suppress(OSError, http.client.HTTPException):
            site.get(f"/stall/?id={stalled}")
        # SIGABRT ends the worker, and its exit hooks run, before SIGKILL would.
        api.wait_for(4, "purchases", timeout=20)
        site.stop()

    assert_same_ids(site, api, [*visits, stalled])
