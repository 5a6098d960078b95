"""Processes that no server runs: tasks, children, commands, and their ends."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from django_topsort.testing import FakeApi
from tests.faults.app import App
from tests.readme import get_free_port
from tests.servers.serving import USER_AGENT, wait_until

pytestmark = pytest.mark.faults

BROKER = os.environ.get("TEST_BROKER_URL", "redis://127.0.0.1:6379/15")


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi(api_key="TSE_servers") as api:
        yield api


@pytest.fixture
def app(api: FakeApi, tmp_path: Path) -> App:
    return App(api, tmp_path)


@pytest.fixture
def queue(app: App) -> Iterator[App]:
    """An app with a queue of its own on a broker."""
    pytest.importorskip("celery", reason="celery is not installed")
    kombu = pytest.importorskip("kombu")
    connection = kombu.Connection(BROKER)
    try:
        connection.ensure_connection(max_retries=1, timeout=3)
    except Exception as error:
        pytest.skip(f"no broker at {BROKER} (TEST_BROKER_URL): {type(error).__name__}")
    name = f"topsort-{uuid.uuid4().hex}"
    app.env.update(CELERY_BROKER=BROKER, CELERY_QUEUE=name)
    yield app
    with connection.channel() as channel:
        channel.queue_delete(name)
    connection.release()


def run_tasks(app: App, count: int, *options: str, stop: int = signal.SIGTERM) -> str:
    """Let a worker of Celery do tasks, and end it; return what it printed."""
    names = [f"order-{number}" for number in range(count)]
    app.run(
        "-W", "default", "-c",
        "from tests.faults.queue_app import report\n"
        f"for name in {names!r}: report.delay(name)",
    )  # fmt: skip
    worker = ["-W", "default", "-m", "celery", "-A", "tests.faults.queue_app", "worker"]
    with app.start(*worker, "--without-mingle", "--without-gossip", *options) as process:
        wait_until(lambda: len(app.get_ids()) >= count, "the tasks are done", 30)
        process.send_signal(stop)
        output, _ = process.communicate(timeout=40)
    assert app.get_ids() == sorted(names), output
    return output


@pytest.mark.parametrize(
    "options",
    [
        ["--concurrency=2"],
        ["--concurrency=2", "--max-tasks-per-child=1"],
        ["--pool=solo"],
        ["--pool=threads", "--concurrency=2"],
    ],
    ids=["prefork", "max-tasks-per-child", "solo", "threads"],
)
def test_fault_40_worker_of_celery_ends(queue: App, options: list[str]) -> None:
    output = run_tasks(queue, 6, *options)

    assert queue.api.repeated == [], output
    queue.assert_all_arrived()


def test_fault_40_celery_that_is_not_in_use_is_not_loaded(app: App) -> None:
    output = app.run_code("""
        record_order("order")
        assert flush(20)
        print(sorted(name for name in sys.modules if name.partition(".")[0] == "celery"))
    """)

    assert output == "[]\n"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_fault_41_child_of_multiprocessing_ends(app: App, method: str) -> None:
    code = """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        from tests.faults.children import report
        record_order("parent")
        assert flush(20)
        context = multiprocessing.get_context(METHOD)
        child = context.Process(target=report, args=["child"])
        child.start()
        child.join()
        assert child.exitcode == 0
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            list(pool.map(report, [f"pool-{number}" for number in range(10)]))
    """
    app.run_code(code.replace("METHOD", repr(method)))

    names = {"parent", "child", *(f"pool-{number}" for number in range(10))}
    app.assert_all_arrived(names)
    assert app.api.repeated == []


def test_fault_41_job_that_ends_without_exit_hooks_flushes_before(app: App) -> None:
    # As the work-horses of RQ do.
    app.run_code("""
        for number in range(5):
            child = os.fork()
            if not child:
                try:
                    with flushing(20):
                        record_order(f"job-{number}")
                        if number % 2:
                            raise ValueError
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
    """)

    app.assert_all_arrived({f"job-{number}" for number in range(5)})


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_fault_41_process_that_is_killed_loses_what_was_in_memory(app: App, end: str) -> None:
    code = f"""
        record_order("sent")
        assert flush(20)
        record_order("lost")
        {end}
    """
    app.run_code(code, returncode=0 if "exit" in end else -signal.SIGKILL)

    assert [event["id"] for event in app.api.events] == ["sent"]


def test_fault_42_interpreter_ends_without_new_threads(app: App) -> None:
    app.run_code("""
        atexit.register(lambda: record_order("before-ours"))
        record_order("main")
        flush(0)
        # Exit hooks run last in, first out, and after all threads were waited for.
        atexit.register(lambda: record_order("first-hook"))
        thread = threading.Thread(target=lambda: (time.sleep(0.2), record_order("thread")))
        thread.start()
    """)

    # What is recorded when ours has run is too late, and is counted.
    assert app.get_ids("shutdown") == ["before-ours"]
    arrived = sorted(event["id"] for event in app.api.events)
    assert arrived == ["first-hook", "main", "thread"]
    assert app.get_ids() == sorted([*arrived, "before-ours"])


def test_fault_43_records_of_late_hooks_and_of_garbage_raise_nothing(app: App) -> None:
    output = app.run_code("""
        from django_topsort.tracking import record
        from tests.sending.engine import build_event

        class Recorder:
            def __del__(self, record=record, event=build_event(event_id="from-del"), say=os.write):
                try:
                    record(event)
                except BaseException as error:
                    say(1, f"raised {error!r}".encode())

        kept = Recorder()
        kept.cycle = kept
        atexit.register(lambda: record_order("late"))
        record_order("main")
    """)

    assert "raised" not in output
    assert "Exception ignored" not in output
    assert "late" in app.get_ids("shutdown")
    assert [event["id"] for event in app.api.events] == ["main"]


def test_fault_44_process_that_was_frozen_goes_on(app: App) -> None:
    # As a function in a cloud between two calls: its connection is dead when it wakes up.
    code = """
        with flushing(20):
            record_order("before")
        print("ready", flush=True)
        sys.stdin.readline()
        with flushing(20):
            record_order("after")
        print(flush(0))
    """
    with app.start_code(code, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGSTOP)
        app.api.drop_connections()
        time.sleep(1)  # longer than what it is asked to wait for, were that still counted
        process.send_signal(signal.SIGCONT)
        output, _ = process.communicate("go on\n", timeout=40)

    assert output == "True\n"
    app.assert_all_arrived({"before", "after"})


def test_fault_44_process_that_is_frozen_while_it_posts(app: App) -> None:
    code = """
        record_order("order")
        print(flush(30), flush=True)
    """
    with app.api.hang(times=1) as fault, app.start_code(code) as process:
        fault.wait_for_hit(timeout=20)
        process.send_signal(signal.SIGSTOP)
        app.api.drop_connections()
        time.sleep(1)
        process.send_signal(signal.SIGCONT)
        output, _ = process.communicate(timeout=40)

    assert output.endswith("True\n")
    app.assert_all_arrived({"order"})


def test_fault_45_command_that_ends_sends_what_it_recorded(app: App) -> None:
    code = "from tests.faults.recording import record_order; record_order('from-a-command')"

    app.run("-m", "django", "shell", "-c", code)

    assert [event["id"] for event in app.api.events] == ["from-a-command"]


def test_fault_45_command_that_records_nothing_starts_no_thread(app: App) -> None:
    code = (
        "import threading; print(threading.active_count(), 'requests' in __import__('sys').modules)"
    )

    assert app.run("-m", "django", "shell", "-v", "0", "-c", code) == "1 False\n"


def test_fault_45_runserver_that_reloads_sends_what_waits(app: App, tmp_path: Path) -> None:
    port = get_free_port()
    watched = tmp_path / "watched.py"
    watched.write_text("")
    app.env.update(SITE_LEFT=str(tmp_path / "left"), SITE_WATCHED=str(watched))
    command = ["-W", "default", "-m", "django", "runserver", f"127.0.0.1:{port}"]
    with app.start(*command) as process:
        wait_until(lambda: answers(port, "/silent/"), "it is up", 30)
        assert answers(port, "/order/?id=visit-1")
        wait_until(lambda: touch_until_received(app, watched), "it reloads, and sends", 30)
        # Ctrl-C leaves it a quarter of a second, and then kills it.
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=20)

    app.assert_all_arrived({"visit-1"})


def touch_until_received(app: App, watched: Path) -> bool:
    stamp = watched.stat().st_mtime + 10
    os.utime(watched, (stamp, stamp))
    with suppress(AssertionError):
        app.api.wait_for(1, "purchases", timeout=2)
    return bool(app.api.purchases)


def answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={"User-Agent": USER_AGENT})
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


# The system refuses threads that want more memory than is left, as it does at a limit of their
# number, which does not bind root.
STARVING = """
        import resource
        threading.stack_size(512 * 1024 * 1024)
        used = int(open("/proc/self/statm").read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        limits = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (used + 256 * 1024 * 1024, limits[1]))
        try:
            threading.Thread(target=print).start()
        except RuntimeError:
            pass
        else:
            raise AssertionError("a thread could start")
"""


def test_fault_46_thread_that_cannot_start_is_tried_again(app: App) -> None:
    app.run_code(
        STARVING
        + """
        for number in range(100):
            record_order(f"starving-{number}")
        assert threading.active_count() == 1
        resource.setrlimit(resource.RLIMIT_AS, limits)
        threading.stack_size(0)
        record_order("fed")  # which starts a thread, for all of them
        deadline = time.monotonic() + 30
        while threading.active_count() == 1:
            assert time.monotonic() < deadline
        assert flush(30)
        os._exit(0)
    """
    )

    app.assert_all_arrived({"fed", *(f"starving-{number}" for number in range(100))})


def test_fault_46_process_that_never_has_threads_sends_at_its_end(app: App) -> None:
    app.run_code(
        STARVING
        + """
        for number in range(100):
            record_order(f"starving-{number}")
    """
    )

    app.assert_all_arrived({f"starving-{number}" for number in range(100)})


@pytest.mark.parametrize("error", ["SystemExit", "MemoryError"])
def test_fault_47_thread_that_is_killed_leaves_its_batch_to_another(app: App, error: str) -> None:
    code = f"""
        import ctypes
        record_order("in-flight")
        def get_workers():
            return [one for one in threading.enumerate() if one.name == "django-topsort"]
        threading.Thread(target=flush, args=[0.1]).start()
        sys.stdin.readline()  # it is on its way
        (worker,) = get_workers()
        kill = ctypes.pythonapi.PyThreadState_SetAsyncExc
        kill(ctypes.c_ulong(worker.ident), ctypes.py_object({error}))
        print("killed", flush=True)
        worker.join(30)
        assert not worker.is_alive()
        record_order("later")
        print(flush(30), flush=True)
    """
    app.env["PYTHONWARNINGS"] = "default"
    with app.api.hang(times=1) as fault, app.start_code(code, stdin=subprocess.PIPE) as process:
        fault.wait_for_hit(timeout=20)
        assert process.stdin is not None
        process.stdin.write("go on\n")
        process.stdin.flush()
        assert process.stdout is not None
        assert process.stdout.readline() == "killed\n"
        fault.release()
        output, _ = process.communicate(timeout=60)

    assert output.endswith("True\n"), output
    app.assert_all_arrived({"in-flight", "later"})
