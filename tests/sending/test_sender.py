"""The sender of a process that forks, ends, is interrupted or runs under gevent."""

from __future__ import annotations

import textwrap
import threading

import pytest

from django_topsort.sending.sender import Sender
from django_topsort.sending.wiring import SenderOptions
from tests.scripts import run_script
from tests.sending.engine import (
    PATIENCE,
    Api,
    Ears,
    build_event,
    build_events,
    build_wiring,
    wait_until,
)

# What every script begins with. What it delivers it prints, a line for each event.
SETUP = """
import os, sys, threading, time
from tests.sending.engine import *
from django_topsort.sending.sender import Sender
from django_topsort.sending.wiring import SenderOptions

class Printer(Api):
    def __call__(self, body, limit=None, /):
        super().__call__(body, limit)
        for event_id in self.requests[-1]:
            os.write(1, f"{event_id} {os.getpid() == PARENT}\\n".encode())

class Said(Ears):
    def dropped(self, events, reason):
        for event in events:
            os.write(1, f"{event.id} {reason}\\n".encode())

PARENT = os.getpid()
api = Printer()
options = SenderOptions(flush_interval=60.0)
sender = Sender(build_wiring(api, Said(), options))
"""


def run(code: str, *, measured: bool = True) -> list[str]:
    """Run a script that must end well; return the sorted lines of its output."""
    result = run_script(SETUP + textwrap.dedent(code), measured=measured)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return sorted(result.stdout.splitlines())


def test_sender_that_is_not_used_starts_nothing() -> None:
    before = threading.active_count()
    sender = Sender(build_wiring(Api(), Ears()))

    assert threading.active_count() == before
    assert sender.shutdown()
    assert sender.flush(0.0)
    assert threading.active_count() == before


def test_sender_posts_in_the_background_until_it_is_shut_down() -> None:
    api, ears = Api(), Ears()
    sender = Sender(build_wiring(api, ears, SenderOptions(flush_interval=60.0)))
    sender.put(build_events(3))

    assert sender.flush(PATIENCE)
    sender.put([build_event(event_id="waiting")])
    assert sender.shutdown(PATIENCE)
    sender.put([build_event(event_id="late")])
    assert len(api.taken) == 4
    assert ears.reasons == {"shutdown": 1}
    assert sender.shutdown()


def test_shutdown_takes_the_time_of_the_options() -> None:
    api, ears = Api(), Ears()
    is_free = threading.Event()
    api.meet = lambda ids: is_free.wait(PATIENCE)
    sender = Sender(build_wiring(api, ears, SenderOptions(shutdown_timeout=0.1)))
    sender.put(build_events(3))

    assert not sender.shutdown()
    is_free.set()
    assert ears.reasons == {"shutdown": 3}


# Forks


def test_child_sends_its_own_events_and_none_of_the_parent() -> None:
    assert run("""
        sender.put(build_events(2, prefix="early"))
        assert sender.flush(30)
        sender.put(build_events(2, prefix="waiting"))
        pid = os.fork()
        sender.put(build_events(2, prefix="parent" if pid else "child"))
        assert sender.flush(30)
        if not pid:
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    """) == [
        "child-0 False",
        "child-1 False",
        "early-0 True",
        "early-1 True",
        "parent-0 True",
        "parent-1 True",
        "waiting-0 True",
        "waiting-1 True",
    ]


def test_child_of_a_child_sends_its_own_events() -> None:
    lines = run("""
        for generation in range(4):
            sender.put([build_event(event_id=f"g{generation}")])
            if generation < 3:
                pid = os.fork()
                if pid:
                    break
        assert sender.flush(30)
        if os.getpid() != PARENT:
            if pid:
                assert os.waitpid(pid, 0)[1] == 0
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    """)

    assert lines == ["g0 True", "g1 False", "g2 False", "g3 False"]


def test_child_does_not_wait_for_a_lock_that_was_held_at_the_fork() -> None:
    assert run(
        """
        sender.put([build_event(event_id="early")])
        assert sender.flush(30)
        workers = sender._get_workers()
        is_held, is_done = threading.Event(), threading.Event()
        def hold():
            with workers._turn.lock:
                is_held.set()
                is_done.wait(30)
        thread = threading.Thread(target=hold)
        thread.start()
        is_held.wait(30)
        pid = os.fork()
        if not pid:
            sender.put([build_event(event_id="child")])
            os._exit(0 if sender.flush(30) else 1)
        assert os.waitpid(pid, 0)[1] == 0
        is_done.set()
        thread.join()
    """,
        measured=False,
    ) == ["child False", "early True"]


def test_child_that_only_ends_says_nothing_of_the_parents_events() -> None:
    assert run("""
        sender.put([build_event(event_id="waiting")])
        pid = os.fork()
        if not pid:
            sys.exit(0)  # the parent's exit hook runs here too
        assert os.waitpid(pid, 0)[1] == 0
    """) == ["waiting True"]


def test_child_that_exits_sends_what_waits() -> None:
    assert run("""
        sender.put([build_event(event_id="waiting")])
        pid = os.fork()
        if not pid:
            sender.put([build_event(event_id="child")])
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    """) == ["child False", "waiting True"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_child_of_multiprocessing_that_ends_sends_what_waits(method: str) -> None:
    assert run(f"""
        import multiprocessing
        from tests.sending.children import put_one
        child = multiprocessing.get_context("{method}").Process(target=put_one, args=["child"])
        child.start()
        child.join()
        assert child.exitcode == 0
    """) == ["child"]


def test_copies_of_the_parents_threads_do_nothing() -> None:
    # Under gevent they live on in a child; here it is the parent that is told to be one.
    api, ears = Api(), Ears()
    sender = Sender(build_wiring(api, ears, SenderOptions(flush_interval=0.2)))
    sender.put([build_event(event_id="copied")])
    sender.abandon_copies()

    wait_until(lambda: not [t for t in threading.enumerate() if t.name == "django-topsort"])

    assert api.requests == []
    assert ears.reasons == {}


# The end of a process


def test_process_that_ends_sends_what_waits() -> None:
    assert run("""
        sender.put(build_events(3))
    """) == ["impressions-0 True", "impressions-1 True", "impressions-2 True"]


def test_process_that_ends_sends_without_new_threads() -> None:
    # Once threads have been joined, none can start any more: exit hooks run after that.
    assert run("""
        import atexit
        sender.flush(0)  # its exit hook comes first, so that it runs last
        atexit.register(lambda: sender.put(build_events(3)))
    """) == ["impressions-0 True", "impressions-1 True", "impressions-2 True"]


def test_event_of_a_later_exit_hook_is_counted() -> None:
    assert run("""
        import atexit
        atexit.register(lambda: sender.put([build_event(event_id="late")]))
        sender.put([build_event(event_id="waiting")])
    """) == ["late shutdown", "waiting True"]


@pytest.mark.parametrize("is_threaded", [True, False])
def test_process_that_ends_does_not_wait_long_for_a_hanging_api(is_threaded: bool) -> None:
    code = """
        import atexit
        options = SenderOptions(flush_interval=0.0, shutdown_timeout=0.5)
        api = Api()
        def hang(ids):
            time.sleep(min(30.0, api.limits[-1] or 30.0))
            from django_topsort.exceptions import NoAnswer
            raise NoAnswer()
        api.meet = hang
        sender = Sender(build_wiring(api, Said(), options))
        started = time.monotonic()
        sender.flush(0)
        atexit.unregister(sender.shutdown)
        atexit.register(lambda: print("took", time.monotonic() - started < 10))
        atexit.register(sender.shutdown)
        THREADED
    """
    record = 'sender.put([build_event(event_id="lost")])'
    ending = record if is_threaded else f"atexit.register(lambda: {record})"

    assert run(code.replace("THREADED", ending)) == ["lost shutdown", "took True"]


@pytest.mark.parametrize("stop", ["SIGTERM", "SIGINT"])
def test_process_that_is_asked_to_end_sends_what_waits(stop: str) -> None:
    assert run(f"""
        import signal
        signal.signal(signal.{stop}, lambda *args: sys.exit(0))
        sender.put(build_events(1))
        os.kill(os.getpid(), signal.{stop})
        time.sleep(30)
    """) == ["impressions-0 True"]


# What a machine, a signal or another library does


def test_garbage_that_records_while_an_event_is_recorded() -> None:
    assert run(
        """
        import gc

        class Recording:
            made = 0

            def __init__(self):
                self.cycle = self
                Recording.made += 1
                self.number = Recording.made

            def __del__(self):
                sender.put([build_event("clicks", f"del-{self.number}")])

        ears = Ears()
        sender = Sender(build_wiring(Api(), ears, SenderOptions(flush_interval=0.0)))
        gc.set_threshold(1)
        for number in range(2000):
            Recording()
            sender.put([build_event(event_id=f"{number}")])
        gc.set_threshold(0)

        def is_over():
            gc.collect()  # which does nothing while another thread does it
            return sender.flush(30) and len(ears.delivered_events) >= 4000

        wait_until(is_over)
        print(len(ears.delivered_events), len(set(get_ids(ears.delivered_events))))
    """,
        measured=False,
    ) == ["4000 4000"]


def test_signal_handler_that_records_while_an_event_is_recorded() -> None:
    assert run(
        """
        import signal

        count = put = 0
        def handle(number, frame):
            global count
            count += 1
            sender.put([build_event("clicks", f"signal-{count}")])
            sender.flush(0.0)
            signal.setitimer(signal.ITIMER_REAL, 0.0003)

        ears = Ears()
        sender = Sender(build_wiring(Api(), ears, SenderOptions(flush_interval=0.0)))
        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.0003)
        while count < 300:
            put += 1
            sender.put([build_event(event_id=f"{put}")])
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        print(sender.flush(30))
        print(len(ears.delivered_events) == len(set(get_ids(ears.delivered_events))) == put + count)
    """,
        measured=False,
    ) == ["True", "True"]


def test_signal_handler_that_raises_leaves_no_lock_behind() -> None:
    lines = run(
        """
        import signal

        class Interrupted(BaseException):
            pass

        options = SenderOptions(flush_interval=0.0)
        ears = Ears()
        sender = Sender(build_wiring(Api(), ears, options))
        armed = []
        put = interrupted = 0

        def handle(number, frame):
            signal.setitimer(signal.ITIMER_REAL, 0.0003)
            if armed:
                armed.clear()
                raise Interrupted

        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.0003)
        for number in range(2000):
            try:
                armed.append(True)
                for part in range(10):
                    sender.put([build_event(event_id=f"{number}-{part}")])
                    put += 1
                armed.clear()
            except Interrupted:
                interrupted += 1
        signal.setitimer(signal.ITIMER_REAL, 0)

        thread = threading.Thread(target=sender.put, args=[[build_event()]], daemon=True)
        thread.start()
        thread.join(20)
        print(not thread.is_alive(), sender.flush(20), interrupted > 10)
        delivered = get_ids(ears.delivered_events)
        print(len(delivered) - len(set(delivered)) <= interrupted)
        print(put + 1 <= len(set(delivered)) <= put + 1 + interrupted)
    """,
        measured=False,
    )

    assert lines == ["True", "True", "True True True"]


def test_process_without_threads_sends_at_its_end() -> None:
    # As where a container's limit of processes is reached.
    assert run("""
        import _thread
        def refuse(*args, **kwargs):
            raise RuntimeError("can't start new thread")
        threading._start_new_thread = threading._start_joinable_thread = refuse
        for number in range(200):
            sender.put([build_event(event_id=f"{number:03}")])
    """) == [f"{number:03} True" for number in range(200)]


def test_sender_works_under_gevent() -> None:
    code = """
        api.meet = lambda ids: time.sleep(0.05)
        options = SenderOptions(flush_interval=0.05, idle_seconds=0.1)
        ears = Ears()
        sender = Sender(build_wiring(api, ears, options))
        started = time.monotonic()
        def record(name):
            for number in range(50):
                sender.put([build_event(event_id=f"{name}-{number}")])
                gevent.sleep(0)
        gevent.joinall([gevent.spawn(record, name) for name in range(20)])
        assert sender.flush(30), sender
        assert len(ears.delivered_events) == 1000
        assert api.most_in_flight > 1
        assert sender._get_workers()._turn.is_mine is False
        time.sleep(0.5)
        sender.put([build_event(event_id="later")])
        assert sender.flush(30)
        print("fine")
    """
    patch = "import gevent.monkey; gevent.monkey.patch_all(); import gevent\n"
    result = run_script(patch + SETUP + textwrap.dedent(code), measured=False)

    assert result.stdout.endswith("fine\n"), result.stderr
    assert result.returncode == 0
