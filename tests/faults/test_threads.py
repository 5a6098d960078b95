"""Threads, signals and callbacks: faults 48 to 55."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_topsort.testing import FakeApi
from tests.faults.shop import KEY, check_books, run_shop
from tests.servers.serving import USER_AGENT, serve, wait_until

pytestmark = pytest.mark.faults


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi(api_key=KEY, keep=200_000) as api:
        yield api


def name_all(*parts: tuple[str, int]) -> list[str]:
    return [f"{prefix}-{number}" for prefix, count in parts for number in range(count)]


def test_fault_48_garbage_that_records_in_the_midst_of_recording(api: FakeApi) -> None:
    told = run_shop(
        """
        import gc
        from django_topsort.delivery import deliver_safely
        from tests.sending.engine import build_event

        class Cart:
            numbers = iter(range(3000))
            def __init__(self):
                self.itself = self  # garbage that only the collector finds
            def __del__(self):
                deliver_safely([build_event("clicks", f"garbage-{next(self.numbers)}")])

        gc.set_threshold(1)
        for number in range(3000):
            Cart()
            deliver_safely([build_event("impressions", f"shown-{number}")])
        gc.set_threshold(700)
        gc.collect()
        """,
        api,
    )

    check_books(told, api, name_all(("garbage", 3000), ("shown", 3000)))
    assert told.dropped == {}


@pytest.mark.parametrize("base", ["Exception", "BaseException"])
def test_fault_49_time_limit_that_strikes_while_an_event_is_recorded(
    api: FakeApi, base: str
) -> None:
    told = run_shop(
        f"""
        import random, signal, time
        from django_topsort.delivery import deliver_safely
        from tests.sending.engine import build_event

        class TimeLimit({base}):
            pass

        is_armed, struck, number = False, [], 0

        def strike(*args):
            global is_armed
            if is_armed:
                is_armed = False
                struck.append(f"c-{{number}}")
                raise TimeLimit

        signal.signal(signal.SIGALRM, strike)
        deliver_safely([build_event("impressions", "first")])  # no import is to be struck
        for number in range(10_000):
            event = build_event("clicks", f"c-{{number}}")
            try:
                is_armed = True
                signal.setitimer(signal.ITIMER_REAL, random.uniform(0.000005, 0.0004))
                deliver_safely([event])
                is_armed = False
            except TimeLimit:
                pass
        signal.setitimer(signal.ITIMER_REAL, 0)
        started = time.monotonic()
        deliver_safely([build_event("impressions", "last")])
        tell(struck=struck, seconds=time.monotonic() - started)
        """,
        api,
    )

    taken = [event["id"] for event in api.events]
    dropped = [event_id for ids in told.dropped.values() for event_id in ids]
    struck = set(told.facts["struck"])
    assert len(struck) > 100
    assert told.faults == []
    # The locks are free, and nobody else's event has suffered.
    assert told.is_empty
    assert told.facts["seconds"] < 5
    assert {"first", "last", *name_all(("c", 10_000))} - struck <= set(taken)
    # A hand-over that was struck has arrived, or it has not: never both, never twice.
    assert len(set(taken)) == len(taken)
    assert not set(taken) & set(dropped)
    assert api.repeated == []
    counts = told.counts["clicks"]
    assert counts["delivered"] == len(taken) - 2
    assert counts["waiting"] <= len(struck - set(taken) - set(dropped))


def test_fault_50_log_handler_that_records_an_event_for_each_line(api: FakeApi) -> None:
    api.answer(503, times=3)

    told = run_shop(
        """
        import logging, time
        from django_topsort.delivery import deliver_safely, flush
        from tests.sending.engine import build_events, wait_until

        lines = []

        class Recording(logging.Handler):
            def emit(self, line):
                lines.append(line.getMessage())
                deliver_safely(build_events(1, "clicks", f"line-{len(lines)}"))

        logging.getLogger().addHandler(Recording())
        for name in ("django_topsort", "urllib3"):
            logging.getLogger(name).setLevel("DEBUG")
        for number in range(20):
            deliver_safely(build_events(10, "purchases", f"order-{number}"))
        wait_until(lambda: flush(30))
        before = len(lines)
        time.sleep(1)  # ten times the interval at which events go out
        tell(lines=len(lines), late=len(lines) - before)
        """,
        api,
    )

    assert told.faults == []
    assert told.is_empty
    assert len(api.purchases) == 200
    assert told.facts["late"] == 0
    # Four lines to send a batch, and the events that these make three times over.
    assert told.facts["lines"] < 4 * 3 * len(api.requests)
    counts = told.counts["clicks"]
    assert counts["recorded"] == told.facts["lines"]
    assert counts["delivered"] == len(api.clicks)
    assert counts["reasons"] == {"recursion": counts["recorded"] - len(api.clicks)}


def test_fault_50_log_handler_that_records_into_the_outbox(api: FakeApi) -> None:
    told = run_shop(
        """
        import logging, time
        from django.core.management import call_command
        from django_topsort.delivery import deliver_safely, flush
        from tests.sending.engine import build_events

        lines = []

        class Recording(logging.Handler):
            def emit(self, line):
                lines.append(line.getMessage())
                deliver_safely(build_events(1, "purchases", f"line-{len(lines)}"))

        call_command("migrate", verbosity=0)
        logging.getLogger("django_topsort").addHandler(Recording())
        logging.getLogger("django_topsort").setLevel("DEBUG")
        deliver_safely(build_events(10, "purchases", "order"))
        tell(flushed=flush(20), lines=len(lines))
        """,
        api,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["django_topsort", "django_topsort.outbox"],
        TOPSORT_BACKENDS={"default": "django_topsort.outbox.backend.EventBackend"},
    )

    assert told.faults == []
    assert told.facts["flushed"]
    assert 0 < told.facts["lines"] < 20
    assert {event["id"] for event in api.purchases} >= {f"order-{number}" for number in range(10)}
    reasons = told.counts["purchases"]["reasons"]
    assert set(reasons) == {"recursion"}


@pytest.mark.parametrize("signal", ["events_dropped", "events_delivered", "events_rejected"])
def test_fault_50_receiver_that_records_again_what_it_hears_of(api: FakeApi, signal: str) -> None:
    if signal == "events_rejected":
        api.poison("page-0")

    told = run_shop(
        f"""
        import time
        from django_topsort import signals
        from django_topsort.delivery import deliver_safely, flush, get_backend
        from tests.sending.engine import build_events, wait_until

        heard = []

        def record_again(events, **facts):
            heard.extend(events)
            deliver_safely(events)

        signals.{signal}.connect(record_again)
        deliver_safely(build_events(500, "clicks", "page"))
        wait_until(lambda: flush(10))
        before = len(heard)
        time.sleep(1)
        tell(heard=before, late=len(heard) - before)
        """,
        api,
        TOPSORT_QUEUE_SIZE=100 if signal == "events_dropped" else 1000,
    )

    # Twice again at most, and then it is over.
    assert told.faults == []
    assert told.facts["late"] == 0
    assert 0 < told.facts["heard"] <= 3 * 500
    assert told.is_empty
    counts = told.counts["clicks"]
    assert counts["waiting"] == 0
    assert counts["recorded"] <= 4 * 500


def test_fault_51_receiver_that_raises_flushes_shuts_down_or_never_returns(api: FakeApi) -> None:
    told = run_shop(
        """
        import threading, time
        from django_topsort.delivery import deliver_safely, flush, get_backend
        from django_topsort.signals import event_recorded, events_delivered
        from django_topsort.tracking import record
        from tests.sending.engine import build_event, build_events, wait_until

        did, stuck, release = set(), threading.Event(), threading.Event()

        def meddle(events, **facts):
            match events[0].id.partition("-")[0]:
                case "raise":
                    did.add("raised")
                    raise ZeroDivisionError
                case "exit":
                    did.add("exited")
                    raise SystemExit
                case "flush":
                    did.add(f"flush {flush(30)}")
                case "stick":
                    stuck.set()
                    release.wait(60)

        events_delivered.connect(meddle)
        event_recorded.connect(lambda **facts: 1 / 0, weak=False)
        for name in ("raise", "exit", "flush"):
            record(build_event("clicks", f"{name}-1"))
            wait_until(lambda: len(did) == ("raise", "exit", "flush").index(name) + 1)
        record(build_event("clicks", "stick-1"))
        stuck.wait(30)

        # One thread of ours hangs in the shop's code: the others go on, and no caller waits.
        started = time.monotonic()
        for number in range(50):
            deliver_safely(build_events(50, "impressions", f"page-{number}"))
        tell(seconds=time.monotonic() - started)
        tell(flushed=flush(1), did=sorted(did), waited=time.monotonic() - started)
        release.set()
        """,
        api,
    )

    wanted = [f"{name}-1" for name in ("raise", "exit", "flush", "stick")]
    wanted += [f"page-{page}-{number}" for page in range(50) for number in range(50)]
    check_books(told, api, wanted)
    assert told.facts["did"] == ["exited", "flush False", "raised"]
    assert told.facts["seconds"] < 5
    assert not told.facts["flushed"]
    assert told.facts["waited"] < 15


def test_fault_52_64_threads_with_10000_records_each() -> None:
    with FakeApi(api_key=KEY, keep=640_000) as api:
        told = run_shop(
            """
            import threading
            from django_topsort.collector import Collector
            from django_topsort.delivery import deliver_safely
            from tests.sending.engine import build_event

            gate = threading.Barrier(64)

            def visit(thread):
                gate.wait()
                for page in range(400):
                    collector = Collector(deliver_safely)
                    for number in range(page * 25, page * 25 + 25):
                        kind = "purchases" if number % 1000 == 0 else "impressions"
                        collector.add(build_event(kind, f"{thread}-{number}"))
                    collector.close()

            threads = [threading.Thread(target=visit, args=(n,)) for n in range(64)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            """,
            api,
        )

    wanted = [f"{thread}-{number}" for thread in range(64) for number in range(10_000)]
    check_books(told, api, wanted)
    # What does not fit goes, each by its name, and no purchase does.
    assert set(told.dropped) <= {"overflow"}
    assert len(api.purchases) == 640


def test_fault_52_1000_asyncio_tasks(api: FakeApi) -> None:
    told = run_shop(
        """
        import asyncio
        from django.test import AsyncRequestFactory
        from django_topsort.middleware import TopsortMiddleware
        from django_topsort.tracking import record
        from tests.sending.engine import build_event
        from django.http import HttpResponse

        async def page(request):
            for number in range(24):
                record(build_event("impressions", f"{request.GET['id']}-{number}"), request)
                await asyncio.sleep(0)
            return HttpResponse()

        async def visit_all():
            application = TopsortMiddleware(page)
            build = AsyncRequestFactory(headers={"User-Agent": "Mozilla/5.0 Firefox/150.0"}).get
            visits = (application(build(f"/?id={n}")) for n in range(1000))
            return await asyncio.gather(*visits)

        tell(statuses=[response.status_code for response in asyncio.run(visit_all())])
        """,
        api,
    )

    assert told.facts["statuses"] == [200] * 1000
    check_books(told, api, [f"{task}-{number}" for task in range(1000) for number in range(24)])
    assert told.dropped == {}


def test_fault_53_client_that_leaves_while_a_sync_view_runs_under_asgi(
    api: FakeApi, tmp_path: Path
) -> None:
    with serve("uvicorn", tmp_path / "log", TOPSORT_API_URL=api.url, TOPSORT_API_KEY=KEY) as site:
        with socket.create_connection(("127.0.0.1", site.port)) as client:
            head = f"GET /left/?id=visit&flags={tmp_path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            client.sendall(f"{head}User-Agent: {USER_AGENT}\r\n\r\n".encode())
            wait_until((tmp_path / "entered").exists, "the view has begun")
        wait_until(site.left.exists, "the server has seen the client leave")
        (tmp_path / "go on").touch()

        api.wait_for(1, "pageviews", timeout=30)
        api.wait_for(3, "impressions", timeout=30)
        api.wait_for(1, "clicks", timeout=30)  # which the view recorded after that
        assert site.stop()[0] == site.server.ends_with

    assert [event["page"]["pageId"] for event in api.pageviews] == ["visit"]
    assert sorted(event["placement"]["position"] for event in api.impressions) == [1, 2, 3]
    assert api.repeated == []


def test_fault_54_flush_from_8_threads_two_shutdowns_and_what_comes_after(api: FakeApi) -> None:
    with api.hang() as fault:
        told = run_shop(
            """
            import threading, time
            from django_topsort.delivery import deliver_safely, flush, get_backend
            from tests.sending.engine import build_events

            deliver_safely(build_events(100, "purchases", "order"))
            deliver_safely(build_events(2000, "clicks", "click"))
            started = time.monotonic()
            flushed = []
            threads = [
                threading.Thread(target=lambda: flushed.append(flush(1))) for _ in range(8)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            tell(flushed=flushed, flush_seconds=time.monotonic() - started)

            started = time.monotonic()
            get_backend().close()
            get_backend().close()
            tell(close_seconds=time.monotonic() - started)
            deliver_safely(build_events(10, "purchases", "late"))
            """,
            api,
            TOPSORT_SHUTDOWN_TIMEOUT=1,
        )
        assert fault.hits > 0

    parts = (("order", 100), ("click", 2000), ("late", 10))
    check_books(told, api, name_all(*parts))
    assert told.facts["flushed"] == [False] * 8
    assert told.facts["flush_seconds"] < 8  # one second for all of them, not for each
    assert told.facts["close_seconds"] < 10
    assert sorted(told.dropped["shutdown"]) == sorted(name_all(*parts))
    assert "late-0" in told.log


@pytest.mark.parametrize("how", ["no thread can start", "the http backend"])
def test_fault_55_no_threads_at_all(api: FakeApi, how: str) -> None:
    backend = "thread" if how == "no thread can start" else "http"
    api.answer(503, times=1, matches=lambda request: b"down-" in request.body)
    api.hang(times=1, matches=lambda request: b"slow-" in request.body)

    told = run_shop(
        f"""
        import threading, time
        from django_topsort.delivery import deliver_safely, flush
        from tests.sending.engine import build_events

        if {backend == "thread"}:
            def start(self):
                raise RuntimeError("can't start new thread")
            threading.Thread.start = start

        started = time.monotonic()
        for name in ("first", "down", "slow", "last"):
            deliver_safely(build_events(10, "clicks", name))
            flush(10)
        tell(seconds=time.monotonic() - started)
        """,
        api,
        TOPSORT_BACKENDS={"default": f"django_topsort.backends.{backend}.EventBackend"},
        TOPSORT_TIMEOUT=[1, 2],
    )

    check_books(told, api, name_all(("first", 10), ("down", 10), ("slow", 10), ("last", 10)))
    # The http backend tries once, and the queue again.
    once = {"failed": name_all(("down", 10), ("slow", 10))}
    assert told.dropped == (once if backend == "http" else {})
    assert told.facts["seconds"] < 30
