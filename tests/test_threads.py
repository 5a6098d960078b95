"""What belongs to one thread."""

from __future__ import annotations

import os
import threading

import pytest

from django_topsort.threads import ThreadValues
from tests.scripts import run_script


def test_threads_see_their_own_values() -> None:
    values = ThreadValues()
    values.get().name = "main"
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(getattr(values.get(), "name", None)))
    thread.start()
    thread.join()

    assert values.get().name == "main"
    assert seen == [None]


def test_process_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    values = ThreadValues()
    values.get().name = "parent"

    monkeypatch.setattr(os, "getpid", lambda: -1)

    assert not hasattr(values.get(), "name")
    values.get().name = "child"
    assert values.get().name == "child"


def test_greenlets_see_their_own_values_where_gevent_comes_after_a_fork() -> None:
    # As in gunicorn's workers with --preload.
    result = run_script(
        """
        import os
        from django_topsort.threads import ThreadValues
        values = ThreadValues()
        values.get().name = "parent"
        child = os.fork()
        if child:
            os._exit(os.waitpid(child, 0)[1] >> 8)
        from gevent.monkey import patch_all
        patch_all(ssl=False)
        import gevent
        def see(number):
            values.get().number = number
            gevent.sleep(0)
            assert values.get().number == number
        for greenlet in gevent.joinall([gevent.spawn(see, number) for number in range(10)]):
            greenlet.get()
        os._exit(0)
        """,
        measured=False,
    )

    assert result.returncode == 0, result.stderr
